// Slots that are written and read without a Codable conformance: strings, values that travel as
// their bytes, and arrays of those.

enum DirectSlot {
  /// Appends a slot that is only a tag.
  static func append(_ tag: SlotTag, to writer: inout ByteWriter) {
    writer.appendValue(tag.rawValue)
  }

  /// Appends a number or Bool.
  @inline(__always)
  static func append<T>(_ tag: SlotTag, _ value: T, to writer: inout ByteWriter) {
    let room = unsafe writer.allocate(1 + MemoryLayout<T>.size)
    unsafe room.storeBytes(of: tag.rawValue, as: UInt8.self)
    unsafe withUnsafeBytes(of: value) { bytes in
      guard let start = bytes.baseAddress else { return }
      unsafe (room + 1).copyMemory(from: start, byteCount: MemoryLayout<T>.size)
    }
  }

  static func append(_ string: String, to writer: inout ByteWriter) {
    var string = string
    string.withUTF8 { bytes in
      let room = unsafe writer.allocate(SlotLayout.header + bytes.count)
      unsafe room.storeBytes(of: SlotTag.string.rawValue, as: UInt8.self)
      unsafe room.storeBytes(of: bytes.count, toByteOffset: 1, as: Int.self)
      guard let start = bytes.baseAddress else { return }
      unsafe (room + SlotLayout.header).copyMemory(from: start, byteCount: bytes.count)
    }
  }

  /// Whether a value inside another travels as its bytes. Small enumerations with raw values do
  /// not: a hand-written conformance may write the raw value and read the enumeration, or the
  /// reverse.
  static func travelsAsBytes<T>(_ type: T.Type) -> Bool {
    guard _isPOD(T.self) else { return false }
    return MemoryLayout<T>.size > 2 || !(T.self is any RawRepresentable.Type)
  }

  static func append<T>(bytesOf value: T, to writer: inout ByteWriter) {
    writer.appendValue(SlotTag.bytes.rawValue)
    writer.appendValue(MemoryLayout<T>.size)
    writer.appendValue(value)
  }

  /// Appends an array of values without references, one copy for all of them.
  static func append<Element>(arrayOf elements: [Element], to writer: inout ByteWriter) {
    appendArrayHeader(of: Element.self, count: elements.count, to: &writer)
    if MemoryLayout<Element>.size == 0 {
      // Such elements still take a stride of one byte each, which nobody has initialised.
      let room = unsafe writer.allocate(elements.count)
      unsafe room.initializeMemory(as: UInt8.self, repeating: 0, count: elements.count)
    } else {
      unsafe elements.withUnsafeBytes { unsafe writer.append($0) }
    }
  }

  /// Appends what comes before the bytes of an array.
  static func appendArrayHeader<Element>(
    of type: Element.Type, count: Int, to writer: inout ByteWriter
  ) {
    writer.appendValue(SlotTag.array.rawValue)
    writer.appendValue(SlotLayout.arrayHeader + count * MemoryLayout<Element>.stride)
    writer.appendValue((SlotTag.ofPrimitive(Element.self) ?? .bytes).rawValue)
    writer.appendValue(count)
  }

  /// Arrays of which each element is read once, and is a value whatever it is: they can be read from memory into which
  /// somebody writes meanwhile.
  private static let arraysReadOnce: [Any.Type] = [
    [UInt8].self, [UInt16].self, [UInt32].self, [UInt64].self, [UInt].self, [Float].self,
    [Int8].self, [Int16].self, [Int32].self, [Int64].self, [Int].self, [Double].self,
  ]

  static func isReadOnce<T>(_ type: T.Type) -> Bool {
    arraysReadOnce.contains { $0 == T.self } || ByteCollection.isData(T.self)
  }

  /// Reads what `append(arrayOf:)` wrote; nil when the slot holds something else.
  static func array<Element>(
    of type: Element.Type, in slots: SlotBytes, at slot: SlotRange
  ) throws -> [Element]? {
    guard let (count, bytes) = unsafe try arrayBytes(of: type, in: slots, at: slot) else {
      return nil
    }
    return unsafe [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
      unsafe UnsafeMutableRawBufferPointer(buffer).copyMemory(from: bytes)
      initialized = count
    }
  }

  /// The bytes of an array of this type, `count` strides; nil when the slot holds something else.
  static func arrayBytes<Element>(
    of type: Element.Type, in slots: SlotBytes, at slot: SlotRange
  ) throws -> (count: Int, bytes: UnsafeRawBufferPointer)? {
    guard try slots.tag(at: slot.start, limit: slot.end) == .array else { return nil }
    let (tag, count, content) = try slots.array(slot)
    guard tag == SlotTag.ofPrimitive(Element.self) ?? .bytes else { return nil }
    let (byteCount, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
    guard !overflow, byteCount == content.count else {
      throw SlotBytes.malformed("\(count) elements of type \(Element.self) do not fit")
    }
    let bytes = unsafe slots.slice(content)
    if tag == .bool, unsafe bytes.contains(where: { $0 > 1 }) {
      throw SlotBytes.malformed("a Bool is neither 0 nor 1")
    }
    return unsafe (count, bytes)
  }
}
