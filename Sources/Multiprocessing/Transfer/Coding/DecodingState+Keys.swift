// Finding names in keyed containers: first where the next one is expected, then among the first
// entries, then in an index of all of them.

extension DecodingState {
  /// So many entries are looked at before the names are put into an index.
  private static let scanLimit = 16

  /// The slot of a name in the keyed container `id`; nil: it is not there, or was left out.
  @inline(__always)
  func find(_ name: inout String, in id: FrameID) throws -> SlotRange? {
    try check(id)
    let frame = frames[id.index]
    if frame.cursor < frame.slot.end {
      let entry = try slots.entry(at: frame.cursor, limit: frame.slot.end)
      if slots.equals(entry.name, &name) { return try present(entry.slot, in: id.index) }
    }
    return try search(&name, in: id.index)
  }

  /// Expects the next name after this slot.
  @inline(__always)
  func advance(_ id: FrameID, past slot: SlotRange) {
    if id.index < frames.count { frames[id.index].cursor = slot.end }
  }

  /// The entries of a keyed container that are there, in the order they were written.
  func entries(of frame: Int) throws -> [(name: String, slot: SlotRange)] {
    let end = frames[frame].slot.end
    var offset = frames[frame].slot.start + SlotLayout.containerHeader
    var entries: [(name: String, slot: SlotRange)] = []
    while offset < end {
      let entry = try slots.entry(at: offset, limit: end)
      if try slots.tag(at: entry.slot.start, limit: end) != .absent {
        entries.append((try slots.string(entry.name), entry.slot))
      }
      offset = entry.slot.end
    }
    return entries
  }

  @inline(__always)
  private func present(_ slot: SlotRange, in frame: Int) throws -> SlotRange? {
    guard try slots.tag(at: slot.start, limit: slot.end) == .absent else { return slot }
    frames[frame].cursor = slot.end
    return nil
  }

  @inline(never)
  private func search(_ name: inout String, in frame: Int) throws -> SlotRange? {
    let serial = frames[frame].serial
    if let index = indexes[serial] { return index[name] }
    let end = frames[frame].slot.end
    var offset = frames[frame].slot.start + SlotLayout.containerHeader
    for _ in 0..<Self.scanLimit where offset < end {
      let entry = try slots.entry(at: offset, limit: end)
      if slots.equals(entry.name, &name) { return try present(entry.slot, in: frame) }
      offset = entry.slot.end
    }
    guard offset < end else { return nil }
    let index = Dictionary(try entries(of: frame).map { ($0.name, $0.slot) }) { _, last in last }
    indexes[serial] = index
    return index[name]
  }
}
