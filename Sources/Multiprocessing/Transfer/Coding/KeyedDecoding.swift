// The keyed container that an init(from:) reads. It expects names in the order they were written
// and searches for those that come otherwise.

struct KeyedDecoding<Key: CodingKey>: KeyedDecodingContainerProtocol {
  let state: DecodingState
  let id: FrameID

  var codingPath: [any CodingKey] { state.codingPath(of: id) }

  var allKeys: [Key] {
    guard (try? state.check(id)) != nil else { return [] }
    let entries = (try? state.entries(of: id.index)) ?? []
    return entries.compactMap { Key(stringValue: $0.name) }
  }

  func contains(_ key: Key) -> Bool {
    var name = key.stringValue
    return ((try? state.find(&name, in: id)) ?? nil) != nil
  }

  func decodeNil(forKey key: Key) throws -> Bool {
    var name = key.stringValue
    guard let slot = try state.find(&name, in: id) else { throw missing(key) }
    return try state.slots.tag(at: slot.start, limit: slot.end) == .null
  }

  @inline(__always)
  func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T {
    var name = key.stringValue
    guard let slot = try state.find(&name, in: id) else { throw missing(key) }
    let value = try state.decodeSlot(
      type, slot, parent: id.index, key: .name(byteCount: name.utf8.count))
    state.advance(id, past: slot)
    return value
  }

  func nestedContainer<NestedKey: CodingKey>(
    keyedBy type: NestedKey.Type, forKey key: Key
  ) throws -> KeyedDecodingContainer<NestedKey> {
    let nested = try openNested(key)
    try state.checkKeyed(nested)
    return KeyedDecodingContainer(KeyedDecoding<NestedKey>(state: state, id: nested))
  }

  func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
    try UnkeyedDecoding(state: state, id: openNested(key))
  }

  func superDecoder() throws -> any Decoder {
    guard let nested = try openNested("super") else {
      throw DecodingError.keyNotFound(
        AnyCodingKey(stringValue: "super"),
        .init(codingPath: codingPath, debugDescription: "there is no key \"super\""))
    }
    return SlotDecoder(state: state, id: nested)
  }

  func superDecoder(forKey key: Key) throws -> any Decoder {
    SlotDecoder(state: state, id: try openNested(key))
  }

  private func openNested(_ key: Key) throws -> FrameID {
    guard let nested = try openNested(key.stringValue) else { throw missing(key) }
    return nested
  }

  private func openNested(_ name: String) throws -> FrameID? {
    var name = name
    guard let slot = try state.find(&name, in: id) else { return nil }
    state.advance(id, past: slot)
    return state.push(slot, parent: id.index, key: .name(byteCount: name.utf8.count))
  }

  @inline(never)
  private func missing(_ key: Key) -> DecodingError {
    .keyNotFound(
      key,
      .init(
        codingPath: codingPath, debugDescription: "there is no key \"\(key.stringValue)\""))
  }
}

extension DecodingState {
  /// Throws unless the slot of `id` is a keyed container.
  func checkKeyed(_ id: FrameID) throws {
    try check(id)
    let frame = frames[id.index]
    guard try slots.tag(at: frame.slot.start, limit: frame.slot.end) == .keyed else {
      throw mismatch([String: Any].self, frame.slot, parent: id.index, key: .root)
    }
    _ = try slots.container(frame.slot)
  }
}
