// A number as it was written, for conformances that write one number type and read another. The
// common case, the same type on both sides, does not come here.

/// A number or Bool read from a slot, before it is known what it is wanted as.
enum SlotNumber {
  case bool(Bool)
  case signed(Int64)
  case unsigned(UInt64)
  case floating(Double)

  /// The number as `type`; nil unless it is represented exactly, or nearest for floating point.
  func value<T>(as type: T.Type) -> T? {
    switch self {
    case .bool(let value): return value as? T
    case .signed(let value): return Self.convert(value, to: type)
    case .unsigned(let value): return Self.convert(value, to: type)
    case .floating(let value):
      if T.self == Double.self { return value as? T }
      if T.self == Float.self { return Float(value) as? T }
      guard let integer = T.self as? any FixedWidthInteger.Type else { return nil }
      return integer.init(exactly: value) as? T
    }
  }

  private static func convert<I: FixedWidthInteger, T>(_ value: I, to type: T.Type) -> T? {
    if T.self == Double.self { return Double(value) as? T }
    if T.self == Float.self { return Float(value) as? T }
    guard let integer = T.self as? any FixedWidthInteger.Type else { return nil }
    return integer.init(exactly: value) as? T
  }
}

extension SlotBytes {
  /// The number in a slot; nil when it holds none.
  func number(at slot: SlotRange) throws -> SlotNumber? {
    try number(tag(at: slot.start, limit: slot.end), at: slot.start + 1, limit: slot.end)
  }

  /// The number of kind `tag` whose bytes lie at `offset`.
  func number(_ tag: SlotTag, at offset: Int, limit: Int) throws -> SlotNumber? {
    func signed<I: SignedInteger & BitwiseCopyable>(_ type: I.Type) throws -> SlotNumber {
      .signed(Int64(try load(type, at: offset, limit: limit)))
    }
    func unsigned<I: UnsignedInteger & BitwiseCopyable>(_ type: I.Type) throws -> SlotNumber {
      .unsigned(UInt64(try load(type, at: offset, limit: limit)))
    }
    switch tag {
    case .bool:
      let byte = try load(UInt8.self, at: offset, limit: limit)
      guard byte <= 1 else { throw Self.malformed("a Bool is neither 0 nor 1") }
      return .bool(byte == 1)
    case .int: return try signed(Int.self)
    case .int8: return try signed(Int8.self)
    case .int16: return try signed(Int16.self)
    case .int32: return try signed(Int32.self)
    case .int64: return try signed(Int64.self)
    case .uint: return try unsigned(UInt.self)
    case .uint8: return try unsigned(UInt8.self)
    case .uint16: return try unsigned(UInt16.self)
    case .uint32: return try unsigned(UInt32.self)
    case .uint64: return try unsigned(UInt64.self)
    case .float: return .floating(Double(try load(Float.self, at: offset, limit: limit)))
    case .double: return .floating(try load(Double.self, at: offset, limit: limit))
    case .null, .absent, .some, .string, .bytes, .array, .keyed, .unkeyed: return nil
    }
  }
}
