// The unkeyed container that an init(from:) reads: the slots of an unkeyed container, or the
// elements of an array that was written as plain bytes.

struct UnkeyedDecoding: UnkeyedDecodingContainer {
  let state: DecodingState
  let id: FrameID
  /// Where the next element is, and where the last one ends.
  private var offset: Int
  private let end: Int
  private let elementCount: Int
  /// In an array, what its elements are and how far apart; they have no tags of their own.
  private let elementTag: SlotTag?
  private let stride: Int

  private(set) var currentIndex = 0

  init(state: DecodingState, id: FrameID) throws {
    self.state = state
    self.id = id
    try state.check(id)
    let slot = state.frames[id.index].slot
    switch try state.slots.tag(at: slot.start, limit: slot.end) {
    case .unkeyed:
      let (count, content) = try state.slots.container(slot)
      (elementCount, offset, end) = (count, content.lowerBound, content.upperBound)
      (elementTag, stride) = (nil, 0)
    case .array:
      let (tag, count, content) = try state.slots.array(slot)
      (elementCount, offset, end) = (count, content.lowerBound, content.upperBound)
      (elementTag, stride) = (tag, count == 0 ? 0 : content.count / count)
    default:
      throw state.mismatch([Any].self, slot, parent: id.index, key: .root)
    }
  }

  var codingPath: [any CodingKey] { state.codingPath(of: id) }
  var count: Int? { elementCount }
  var isAtEnd: Bool { currentIndex >= elementCount }

  mutating func decodeNil() throws -> Bool {
    guard elementTag == nil else { return false }
    let slot = try next(Any?.self)
    guard try state.slots.tag(at: slot.start, limit: slot.end) == .null else { return false }
    advance(past: slot)
    return true
  }

  @inline(__always)
  mutating func decode<T: Decodable>(_ type: T.Type) throws -> T {
    if let elementTag { return try decodeElement(type, elementTag) }
    let slot = try next(type)
    let value = try state.decodeSlot(type, slot, parent: id.index, key: .index(currentIndex))
    advance(past: slot)
    return value
  }

  mutating func nestedContainer<NestedKey: CodingKey>(
    keyedBy type: NestedKey.Type
  ) throws -> KeyedDecodingContainer<NestedKey> {
    let (nested, slot) = try openNested(type)
    try state.checkKeyed(nested)
    advance(past: slot)
    return KeyedDecodingContainer(KeyedDecoding<NestedKey>(state: state, id: nested))
  }

  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
    let (nested, slot) = try openNested([Any].self)
    let container = try UnkeyedDecoding(state: state, id: nested)
    advance(past: slot)
    return container
  }

  mutating func superDecoder() throws -> any Decoder {
    let (nested, slot) = try openNested(Any.self)
    advance(past: slot)
    return SlotDecoder(state: state, id: nested)
  }

  // MARK: - Elements

  @inline(__always)
  private func next(_ type: Any.Type) throws -> SlotRange {
    guard currentIndex < elementCount else { throw pastEnd(type) }
    return try state.slots.slot(at: offset, limit: end)
  }

  private mutating func advance(past slot: SlotRange) {
    offset = slot.end
    currentIndex += 1
  }

  private mutating func openNested(_ type: Any.Type) throws -> (FrameID, SlotRange) {
    try state.check(id)
    guard elementTag == nil else { throw elementMismatch(type) }
    let slot = try next(type)
    return (state.push(slot, parent: id.index, key: .index(currentIndex)), slot)
  }

  /// Reads an element of an array, which has no slot of its own.
  private mutating func decodeElement<T: Decodable>(_ type: T.Type, _ tag: SlotTag) throws -> T {
    guard currentIndex < elementCount else { throw pastEnd(type) }
    let value: T?
    if tag == .bytes {
      guard _isPOD(type), stride == MemoryLayout<T>.stride else { throw elementMismatch(type) }
      var reader = unsafe ByteReader(state.slots.slice(offset..<end))
      value = try reader.readValue(as: type)
    } else {
      value = try state.slots.number(tag, at: offset, limit: end)?.value(as: type)
    }
    guard let value else { throw elementMismatch(type) }
    offset += stride
    currentIndex += 1
    return value
  }

  @inline(never)
  private func elementMismatch(_ type: Any.Type) -> DecodingError {
    .typeMismatch(
      type,
      .init(
        codingPath: state.path(to: id.index, adding: .index(currentIndex)),
        debugDescription: "\(type) is expected in an array of another type"))
  }

  @inline(never)
  private func pastEnd(_ type: Any.Type) -> DecodingError {
    .valueNotFound(
      type,
      .init(
        codingPath: state.path(to: id.index, adding: .index(currentIndex)),
        debugDescription: "\(type) is expected after the last of \(elementCount) elements"))
  }
}
