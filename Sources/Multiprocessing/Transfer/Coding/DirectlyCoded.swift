// Standard types that the coder takes apart itself. Their own conformances would ask for a
// container each, and write arrays of numbers one by one. The slots are the ones those conformances
// would make, or ones that are also accepted where those are expected.

/// A type whose slot is written and read without its own `Codable` conformance.
protocol DirectlyCoded: Codable {
  func encodeSlot(to state: EncodingState, parent: Int, key: PathKey) throws
  /// nil: the slot holds something else, which the type's own conformance may understand.
  static func decodeSlot(
    _ slot: SlotRange, from state: DecodingState, parent: Int, key: PathKey
  ) throws -> Self?

  /// Writes the slot without any state, for values that consist of plain bytes; false: not one of
  /// them.
  func appendPlain(to writer: inout ByteWriter) -> Bool
  /// The counterpart; nil: not one of them, or the slot holds something else.
  static func plain(in slots: SlotBytes, at slot: SlotRange) throws -> Self?
}

extension DirectlyCoded {
  func appendPlain(to writer: inout ByteWriter) -> Bool { false }
  static func plain(in slots: SlotBytes, at slot: SlotRange) throws -> Self? { nil }

  // What is generic here holds the same type under another name, and takes it without a box.

  static func encodeSlot<T>(
    erased value: T, to state: EncodingState, parent: Int, key: PathKey
  ) throws {
    try unsafe unsafeBitCast(value, to: Self.self).encodeSlot(to: state, parent: parent, key: key)
  }

  static func decodeSlot<T>(
    as type: T.Type, _ slot: SlotRange, from state: DecodingState, parent: Int, key: PathKey
  ) throws -> T? {
    guard let value = try decodeSlot(slot, from: state, parent: parent, key: key) else {
      return nil
    }
    return unsafe unsafeBitCast(value, to: T.self)
  }

  static func appendPlain<T>(erased value: T, to writer: inout ByteWriter) -> Bool {
    unsafe unsafeBitCast(value, to: Self.self).appendPlain(to: &writer)
  }

  static func plain<T>(as type: T.Type, in slots: SlotBytes, at slot: SlotRange) throws -> T? {
    guard let value = try plain(in: slots, at: slot) else { return nil }
    return unsafe unsafeBitCast(value, to: T.self)
  }
}

extension Optional: DirectlyCoded where Wrapped: Codable {
  func encodeSlot(to state: EncodingState, parent: Int, key: PathKey) throws {
    guard let value = self else { return DirectSlot.append(.null, to: &state.writer) }
    try state.encodeSome(value, parent: parent, key: key)
  }

  static func decodeSlot(
    _ slot: SlotRange, from state: DecodingState, parent: Int, key: PathKey
  ) throws -> Self? {
    var slot = slot
    switch try state.slots.tag(at: slot.start, limit: slot.end) {
    case .null: return .some(nil)
    case .some: slot.start += 1
    default: break
    }
    return .some(try state.decodeSlot(Wrapped.self, slot, parent: parent, key: key))
  }
}

// MARK: - Arrays and sets

extension Array: DirectlyCoded where Element: Codable {
  func appendPlain(to writer: inout ByteWriter) -> Bool {
    guard _isPOD(Element.self) else { return false }
    DirectSlot.append(arrayOf: self, to: &writer)
    return true
  }

  static func plain(in slots: SlotBytes, at slot: SlotRange) throws -> Self? {
    guard _isPOD(Element.self) else { return nil }
    return try DirectSlot.array(of: Element.self, in: slots, at: slot)
  }

  func encodeSlot(to state: EncodingState, parent: Int, key: PathKey) throws {
    if appendPlain(to: &state.writer) { return }
    try state.encodeElements(self, parent: parent, key: key)
  }

  static func decodeSlot(
    _ slot: SlotRange, from state: DecodingState, parent: Int, key: PathKey
  ) throws -> Self? {
    if _isPOD(Element.self) { return try plain(in: state.slots, at: slot) }
    var elements: Self = []
    let isUnkeyed = try state.forEachElement(of: slot, parent: parent, key: key) { element in
      if element.isFirst { elements.reserveCapacity(element.capacity(for: Element.self)) }
      elements.append(try element.decode(Element.self, from: state))
    }
    return isUnkeyed ? elements : nil
  }
}

extension Set: DirectlyCoded where Element: Codable {
  func appendPlain(to writer: inout ByteWriter) -> Bool {
    _isPOD(Element.self) && Array(self).appendPlain(to: &writer)
  }

  static func plain(in slots: SlotBytes, at slot: SlotRange) throws -> Self? {
    guard let elements = try [Element].plain(in: slots, at: slot) else { return nil }
    return Set(elements)
  }

  func encodeSlot(to state: EncodingState, parent: Int, key: PathKey) throws {
    if appendPlain(to: &state.writer) { return }
    try state.encodeElements(self, parent: parent, key: key)
  }

  static func decodeSlot(
    _ slot: SlotRange, from state: DecodingState, parent: Int, key: PathKey
  ) throws -> Self? {
    let elements = try [Element].decodeSlot(slot, from: state, parent: parent, key: key)
    guard let elements else { return nil }
    return Set(elements)
  }
}

// MARK: - Dictionaries

/// With string keys a dictionary is a keyed container, with others keys and values in turn.
extension Dictionary: DirectlyCoded where Key: Codable, Value: Codable {
  func encodeSlot(to state: EncodingState, parent: Int, key: PathKey) throws {
    let enclosing = state.top
    let isKeyed = Key.self == String.self
    let id = state.push(isKeyed ? .keyed : .unkeyed, parent: parent, key: key)
    defer { state.pop(id, to: enclosing) }
    for (key, value) in self {
      if isKeyed {
        let name = unsafe unsafeBitCast(key, to: String.self)
        try state.writeNewEntry(to: id, name) {
          try state.encodeSlot(value, parent: id.index, key: $0)
        }
      } else {
        try state.writeElement(to: id) { try state.encodeSlot(key, parent: id.index, key: $0) }
        try state.writeElement(to: id) { try state.encodeSlot(value, parent: id.index, key: $0) }
      }
    }
  }

  static func decodeSlot(
    _ slot: SlotRange, from state: DecodingState, parent: Int, key: PathKey
  ) throws -> Self? {
    var pairs: Self = [:]
    if Key.self == String.self {
      let isKeyed = try state.forEachEntry(of: slot, parent: parent, key: key) { name, value in
        if value.isFirst { pairs.reserveCapacity(value.capacity(for: (Key, Value).self)) }
        let name = unsafe unsafeBitCast(name, to: Key.self)
        pairs[name] = try value.decode(Value.self, from: state)
      }
      return isKeyed ? pairs : nil
    }
    var pending: Key?
    let isUnkeyed = try state.forEachElement(of: slot, parent: parent, key: key) { element in
      if element.isFirst {
        pairs.reserveCapacity(element.capacity(for: (Key, Value).self, slotsEach: 2))
      }
      guard let key = pending else {
        pending = try element.decode(Key.self, from: state)
        return
      }
      pairs[key] = try element.decode(Value.self, from: state)
      pending = nil
    }
    guard pending == nil else { throw SlotBytes.malformed("a key has no value") }
    return isUnkeyed ? pairs : nil
  }
}
