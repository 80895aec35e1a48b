// Going through the elements and entries of a container without a container type in between.

extension EncodingState {
  /// Writes a sequence as an unkeyed container.
  func encodeElements<S: Sequence>(
    _ elements: S, parent: Int, key: PathKey
  ) throws where S.Element: Encodable {
    let enclosing = top
    let id = push(.unkeyed, parent: parent, key: key)
    defer { pop(id, to: enclosing) }
    for element in elements {
      try writeElement(to: id) { try encodeSlot(element, parent: id.index, key: $0) }
    }
  }
}

/// A slot in a container that is being gone through.
struct DirectElement {
  let slot: SlotRange
  let frame: Int
  let key: PathKey
  let isFirst: Bool
  /// How many there are, and in how many bytes.
  let count: Int
  let byteCount: Int

  func decode<T: Decodable>(_ type: T.Type, from state: DecodingState) throws -> T {
    try state.decodeSlot(type, slot, parent: frame, key: key)
  }

  /// How many places to make for all: the count is only known to fit the bytes, and elements may be
  /// larger in memory than there, so not more than the bytes would fill.
  func capacity<T>(for type: T.Type, slotsEach: Int = 1) -> Int {
    min(count / slotsEach, byteCount / MemoryLayout<T>.stride + 1)
  }
}

extension DecodingState {
  /// Calls `body` with each element; false: the slot is no unkeyed container.
  func forEachElement(
    of slot: SlotRange, parent: Int, key: PathKey, _ body: (DirectElement) throws -> Void
  ) throws -> Bool {
    guard try slots.tag(at: slot.start, limit: slot.end) == .unkeyed else { return false }
    let (count, content) = try slots.container(slot)
    let frame = push(slot, parent: parent, key: key)
    defer { pop(frame) }
    var offset = content.lowerBound
    for index in 0..<count {
      let element = try slots.slot(at: offset, limit: content.upperBound)
      try body(
        DirectElement(
          slot: element, frame: frame.index, key: .index(index), isFirst: index == 0, count: count,
          byteCount: content.count))
      offset = element.end
    }
    return true
  }

  /// Calls `body` with the name and value of each entry; false: the slot is no keyed container.
  func forEachEntry(
    of slot: SlotRange, parent: Int, key: PathKey, _ body: (String, DirectElement) throws -> Void
  ) throws -> Bool {
    guard try slots.tag(at: slot.start, limit: slot.end) == .keyed else { return false }
    let (count, content) = try slots.container(slot)
    let frame = push(slot, parent: parent, key: key)
    defer { pop(frame) }
    var offset = content.lowerBound
    while offset < content.upperBound {
      let entry = try slots.entry(at: offset, limit: content.upperBound)
      if try slots.tag(at: entry.slot.start, limit: entry.slot.end) != .absent {
        try body(
          slots.string(entry.name),
          DirectElement(
            slot: entry.slot, frame: frame.index, key: .name(byteCount: entry.name.count),
            isFirst: offset == content.lowerBound, count: count, byteCount: content.count))
      }
      offset = entry.slot.end
    }
    return true
  }
}
