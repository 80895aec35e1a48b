// The format of encoded values.
//
// A value takes a *slot*: one tag byte and what the tag says. Both sides run the same executable on
// the same machine, so numbers are in the machine's byte order, unaligned, and there are no
// versions.
//
//   null                                     nil
//   bool … double    the value               a standard number or Bool
//   string           n:8 UTF-8               n is a byte count
//   bytes            n:8 bytes               a value without references, as it lies in memory
//   array            n:8 tag:1 count:8 …     the elements' tag and `count` strides
//   keyed            n:8 count:8 entries     entry: name length:4, name in UTF-8, slot
//   absent                                   only in an entry: an optional that was left out
//   some             slot                    an optional that holds something which is itself null
//   unkeyed          n:8 count:8 slots
//
// n counts the bytes that follow it. So every slot can be skipped without knowing its type, and a
// key that is looked for out of order can be found. Keyed containers carry names because
// hand-written conformances may read keys in another order than they wrote them, or not at all; the
// reader expects the next name where the last value ended and then compares it in place, which is
// the usual case. An optional that is nil leaves its name for the same reason; for the reader it is
// not there.

/// What kind of value a slot holds.
enum SlotTag: UInt8 {
  case null, bool, int, int8, int16, int32, int64
  case uint, uint8, uint16, uint32, uint64, float, double
  case string, bytes, array, keyed, unkeyed
  case absent, some

  /// The tag with this number, which is a comparison and no table.
  @inline(__always)
  init?(checking number: UInt8) {
    guard number <= SlotTag.some.rawValue else { return nil }
    self = unsafe unsafeBitCast(number, to: SlotTag.self)
  }

  /// The tag of a standard number type or Bool; nil for every other type.
  @inline(__always)
  static func ofPrimitive<T>(_ type: T.Type) -> SlotTag? {
    if T.self == Int.self { return .int }
    if T.self == Double.self { return .double }
    if T.self == Bool.self { return .bool }
    if T.self == UInt8.self { return .uint8 }
    if T.self == Int32.self { return .int32 }
    if T.self == Float.self { return .float }
    if T.self == Int64.self { return .int64 }
    if T.self == UInt64.self { return .uint64 }
    if T.self == UInt32.self { return .uint32 }
    if T.self == UInt.self { return .uint }
    if T.self == Int8.self { return .int8 }
    if T.self == Int16.self { return .int16 }
    if T.self == UInt16.self { return .uint16 }
    return nil
  }

  /// How many bytes follow the tag, for tags that have no byte count.
  @inline(__always)
  var fixedByteCount: Int? {
    switch self {
    case .null, .absent: 0
    case .bool, .int8, .uint8: 1
    case .int16, .uint16: 2
    case .int32, .uint32, .float: 4
    case .int, .uint, .int64, .uint64, .double: 8
    case .string, .bytes, .array, .keyed, .unkeyed, .some: nil
    }
  }
}

/// Sizes of the fixed parts of a slot, in bytes.
enum SlotLayout {
  /// The length of a name.
  static let nameHeader = 4
  /// Tag and n.
  static let header = 9
  /// Tag, n and count of a keyed or unkeyed container.
  static let containerHeader = 17
  /// Element tag and count of an array, after n.
  static let arrayHeader = 9
}
