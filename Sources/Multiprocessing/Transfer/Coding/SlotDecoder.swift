// SlotDecoder is what a type's init(from:) gets: a name for the frame of the slot it reads.

/// The decoder of one value.
struct SlotDecoder: Decoder {
  let state: DecodingState
  let id: FrameID

  var codingPath: [any CodingKey] { state.codingPath(of: id) }
  var userInfo: [CodingUserInfoKey: Any] { TransferContext.userInfo(state.context) }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    try state.checkKeyed(id)
    return KeyedDecodingContainer(KeyedDecoding<Key>(state: state, id: id))
  }

  func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
    try UnkeyedDecoding(state: state, id: id)
  }

  func singleValueContainer() throws -> any SingleValueDecodingContainer {
    SingleValueDecoding(state: state, id: id)
  }
}

struct SingleValueDecoding: SingleValueDecodingContainer {
  let state: DecodingState
  let id: FrameID

  var codingPath: [any CodingKey] { state.codingPath(of: id) }

  func decodeNil() -> Bool {
    guard (try? state.check(id)) != nil else { return false }
    let slot = state.frames[id.index].slot
    return (try? state.slots.tag(at: slot.start, limit: slot.end)) == .null
  }

  @inline(__always)
  func decode<T: Decodable>(_ type: T.Type) throws -> T {
    try state.check(id)
    return try state.decodeSlot(type, state.frames[id.index].slot, parent: id.index, key: .root)
  }
}
