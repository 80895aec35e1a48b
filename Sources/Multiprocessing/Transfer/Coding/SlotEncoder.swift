// SlotEncoder is what a value's encode(to:) gets: a name for the value's frame.

/// The encoder of one value.
struct SlotEncoder: Encoder {
  let state: EncodingState
  let id: FrameID

  var codingPath: [any CodingKey] { state.codingPath(of: id) }
  var userInfo: [CodingUserInfoKey: Any] { TransferContext.userInfo(state.context) }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    KeyedEncodingContainer(KeyedEncoding<Key>(state: state, id: state.decide(.keyed, for: id)))
  }

  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    UnkeyedEncoding(state: state, id: state.decide(.unkeyed, for: id))
  }

  func singleValueContainer() -> any SingleValueEncodingContainer {
    SingleValueEncoding(state: state, id: id)
  }
}
