// ValueCoding turns values into bytes and back, between two processes that run the same executable.
//
// A value without references travels as its bytes, an array of such values as its bytes and a
// header, everything else through its Codable conformance in the format of SlotTag.swift. Decoding
// is total: any input, also one that another process has damaged, gives a value or a thrown error,
// and no more memory is asked for than the input has bytes to fill. What is not checked are the
// bytes of a plain value as a whole: a damaged Bool or enumeration inside a plain struct is taken
// as it is.
//
// Hand-written conformances may write and read keys in any order, leave them out, and hold several
// nested containers at once. They may read a number as another number type, a raw value as its
// enumeration, an optional as its value, and an array through an unkeyed container; otherwise a
// value must be read as the type it was written as.

enum ValueCoding {
  /// Whether values of this type travel as their bytes: true for types without references.
  @inline(__always)
  static func isBytes<T>(_ type: T.Type) -> Bool {
    _isPOD(T.self)
  }

  /// Appends a value. When this throws, what it appended is removed again.
  ///
  /// At most `NestingGuard.maximumDepth` values may nest, fewer on a small stack.
  @inline(__always)
  static func encode<T: Encodable>(
    _ value: T, into writer: inout ByteWriter, context: TransferContext?
  ) throws {
    if isBytes(T.self) {
      writer.appendValue(value)
    } else {
      try encodeSlot(value, into: &writer, context: context)
    }
  }

  /// Reads what `encode` appended and leaves the reader behind it; when this throws, the reader is
  /// behind the value or where it was.
  @inline(__always)
  static func decode<T: Decodable>(
    _ type: T.Type, from reader: inout ByteReader, context: TransferContext?
  ) throws -> T {
    if isBytes(T.self), T.self != Bool.self { return try reader.readValue(as: type) }
    return try decodeSlot(type, from: &reader, context: context)
  }

  @inline(never)
  private static func encodeSlot<T: Encodable>(
    _ value: T, into writer: inout ByteWriter, context: TransferContext?
  ) throws {
    if T.self == String.self {
      return DirectSlot.append(unsafe unsafeBitCast(value, to: String.self), to: &writer)
    }
    if let direct = T.self as? any DirectlyCoded.Type,
      direct.appendPlain(erased: value, to: &writer)
    {
      return
    }
    let start = writer.count
    do {
      try unsafe withUnsafeMutablePointer(to: &writer) { writer in
        let state = unsafe EncodingState(output: writer, context: context)
        do {
          try state.encodeSlot(value, parent: -1, key: .root)
        } catch {
          try? state.finish()
          throw error
        }
        try state.finish()
      }
    } catch {
      writer.truncate(to: start)
      throw error
    }
  }

  @inline(never)
  private static func decodeSlot<T: Decodable>(
    _ type: T.Type, from reader: inout ByteReader, context: TransferContext?
  ) throws -> T {
    if T.self == Bool.self {
      let byte = try reader.readValue(as: UInt8.self)
      guard byte <= 1 else { throw SlotBytes.malformed("a Bool is neither 0 nor 1") }
      return unsafe unsafeBitCast(byte == 1, to: T.self)
    }
    let slots = unsafe SlotBytes(reader.unread)
    let slot = try slots.slot(at: 0, limit: slots.count)
    defer { unsafe _ = try? reader.read(slot.end) }
    if T.self == String.self, try slots.tag(at: 0, limit: slot.end) == .string {
      return unsafe unsafeBitCast(try slots.string(slots.content(of: slot)), to: T.self)
    }
    if let direct = T.self as? any DirectlyCoded.Type,
      let value = try direct.plain(as: type, in: slots, at: slot)
    {
      return value
    }
    let state = DecodingState(slots: slots, context: context)
    defer { state.finish() }
    return try state.decodeSlot(type, slot, parent: -1, key: .root)
  }
}
