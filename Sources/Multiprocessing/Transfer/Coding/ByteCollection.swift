// Foundation's Data, without importing Foundation: its own conformance writes and reads one byte at
// a time, about a thousand times slower than a copy.

/// Writes and reads collections of bytes as arrays of UInt8, which is also how `[UInt8]` travels.
enum ByteCollection {
  /// The type Data, where the program contains it.
  private static let data: Any.Type? =
    _typeByName("20FoundationEssentials4DataV") ?? _typeByName("10Foundation4DataV")

  @inline(__always)
  static func isData<T>(_ type: T.Type) -> Bool {
    guard let data else { return false }
    return data == T.self
  }

  /// Appends a Data; false: it is none.
  static func append<T>(_ value: T, to writer: inout ByteWriter) -> Bool {
    guard isData(T.self), let type = T.self as? any RangeReplaceableCollection<UInt8>.Type else {
      return false
    }
    append(erased: value, as: type, to: &writer)
    return true
  }

  /// Reads a Data; nil: the type is another, or the slot holds something else.
  static func read<T>(_ type: T.Type, in slots: SlotBytes, at slot: SlotRange) throws -> T? {
    guard isData(T.self), let type = T.self as? any RangeReplaceableCollection<UInt8>.Type else {
      return nil
    }
    return try read(as: type, in: slots, at: slot) as? T
  }

  private static func append<T, C: RangeReplaceableCollection<UInt8>>(
    erased value: T, as type: C.Type, to writer: inout ByteWriter
  ) {
    let bytes = unsafe unsafeBitCast(value, to: C.self)
    let isWritten: Void? = bytes.withContiguousStorageIfAvailable { bytes in
      DirectSlot.appendArrayHeader(of: UInt8.self, count: bytes.count, to: &writer)
      unsafe writer.append(UnsafeRawBufferPointer(bytes))
    }
    if isWritten == nil { DirectSlot.append(arrayOf: Array(bytes), to: &writer) }
  }

  private static func read<C: RangeReplaceableCollection<UInt8>>(
    as type: C.Type, in slots: SlotBytes, at slot: SlotRange
  ) throws -> C? {
    guard let array = unsafe try DirectSlot.arrayBytes(of: UInt8.self, in: slots, at: slot) else {
      return nil
    }
    return unsafe C(array.bytes)
  }
}
