// The three containers that an encode(to:) writes to. They hold no bytes, only the name of a frame;
// the generic `encode` of each is the witness for the protocols' one requirement per standard type.

struct KeyedEncoding<Key: CodingKey>: KeyedEncodingContainerProtocol {
  let state: EncodingState
  let id: FrameID

  var codingPath: [any CodingKey] { state.codingPath(of: id) }

  @inline(__always)
  func encode<T: Encodable>(_ value: T, forKey key: Key) throws {
    try state.writeEntry(to: id, key.stringValue) {
      try state.encodeSlot(value, parent: id.index, key: $0)
    }
  }

  func encodeNil(forKey key: Key) throws {
    try state.writeEntry(to: id, key.stringValue) { _ in
      DirectSlot.append(.null, to: &state.writer)
    }
  }

  func nestedContainer<NestedKey: CodingKey>(
    keyedBy type: NestedKey.Type, forKey key: Key
  ) -> KeyedEncodingContainer<NestedKey> {
    let nested = state.openNested(.keyed, in: id, named: key.stringValue)
    return KeyedEncodingContainer(KeyedEncoding<NestedKey>(state: state, id: nested))
  }

  func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
    let nested = state.openNested(.unkeyed, in: id, named: key.stringValue)
    return UnkeyedEncoding(state: state, id: nested)
  }

  func superEncoder() -> any Encoder {
    SlotEncoder(state: state, id: state.openNested(.undecided, in: id, named: "super"))
  }

  func superEncoder(forKey key: Key) -> any Encoder {
    SlotEncoder(state: state, id: state.openNested(.undecided, in: id, named: key.stringValue))
  }
}

struct UnkeyedEncoding: UnkeyedEncodingContainer {
  let state: EncodingState
  let id: FrameID

  var codingPath: [any CodingKey] { state.codingPath(of: id) }
  var count: Int { state.isAlive(id) ? state.frames[id.index].count : 0 }

  @inline(__always)
  func encode<T: Encodable>(_ value: T) throws {
    try state.writeElement(to: id) { try state.encodeSlot(value, parent: id.index, key: $0) }
  }

  func encodeNil() throws {
    try state.writeElement(to: id) { _ in DirectSlot.append(.null, to: &state.writer) }
  }

  func nestedContainer<NestedKey: CodingKey>(
    keyedBy type: NestedKey.Type
  ) -> KeyedEncodingContainer<NestedKey> {
    let nested = state.openNested(.keyed, in: id)
    return KeyedEncodingContainer(KeyedEncoding<NestedKey>(state: state, id: nested))
  }

  func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
    UnkeyedEncoding(state: state, id: state.openNested(.unkeyed, in: id))
  }

  func superEncoder() -> any Encoder {
    SlotEncoder(state: state, id: state.openNested(.undecided, in: id))
  }
}

struct SingleValueEncoding: SingleValueEncodingContainer {
  let state: EncodingState
  let id: FrameID

  var codingPath: [any CodingKey] { state.codingPath(of: id) }

  @inline(__always)
  func encode<T: Encodable>(_ value: T) throws {
    try state.writeSingle(id) { try state.encodeSlot(value, parent: id.index, key: .root) }
  }

  func encodeNil() throws {
    try state.writeSingle(id) { DirectSlot.append(.null, to: &state.writer) }
  }
}
