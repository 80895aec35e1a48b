// The elements of a tuple whose types are a pack, by their place in memory: a tuple is laid out as a struct
// of its elements. Swift 6.3 does not compile the conversion from `(R1, R2, repeat each R)` to a pack.

/// Appends each element of `tuple`, whose element types are `types`, as `encodeResult` does.
func encodeTuple<T, each Element: Transferable>(
  _ tuple: T, _ types: repeat (each Element).Type, into writer: inout ByteWriter,
  _ context: TransferContext?
) throws {
  try unsafe withUnsafeBytes(of: tuple) { bytes in
    var offset = 0
    for type in repeat each types {
      let element = unsafe takeElement(type, bytes, &offset)
      try encodeResult(element, into: &writer, context)
    }
  }
}

private func takeElement<E>(_: E.Type, _ bytes: UnsafeRawBufferPointer, _ offset: inout Int) -> E {
  let mask = MemoryLayout<E>.alignment - 1
  let start = (offset + mask) & ~mask
  offset = start + MemoryLayout<E>.size
  // A tuple of nothing but empty types has no address and needs none.
  guard let base = bytes.baseAddress else { return unsafe unsafeBitCast((), to: E.self) }
  return unsafe (base + start).assumingMemoryBound(to: E.self).pointee
}
