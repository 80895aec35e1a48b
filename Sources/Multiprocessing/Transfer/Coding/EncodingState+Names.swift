// Names in keyed containers are unique: encoding one again replaces its value, as other coders do.
// A name that may be there already is recognised by one of 64 bits; then the entries are looked
// through, and when they have become many, a set is kept.

extension EncodingState {
  /// Up to here entries are looked through.
  private static let scanLimit = 32

  /// Registers a name in a keyed container, removes the entry that has it already, and returns
  /// where the output ends then.
  @inline(__always)
  func claim(_ name: inout String, in frame: Int) throws -> Int {
    let bit = Self.bit(&name)
    if frames[frame].nameBits & bit != 0 { try claimAgain(&name, in: frame) }
    frames[frame].nameBits |= bit
    return writer.count
  }

  @inline(never)
  private func claimAgain(_ name: inout String, in frame: Int) throws {
    let serial = frames[frame].serial
    if let isNew = manyNames[serial]?.insert(name).inserted, isNew { return }
    if let range = try entry(named: &name, in: frame) { remove(range, of: frame) }
    if frames[frame].count >= Self.scanLimit, manyNames[serial] == nil {
      var names: Set = [name]
      try forEachEntry(of: frame) { slots, entry in
        names.insert(try slots.string(entry.name))
        return true
      }
      manyNames[serial] = names
      // From here on every name is looked up in the set.
      frames[frame].nameBits = .max
    }
  }

  /// False: the container certainly has no entry of this name.
  func mayHold(_ name: String, in frame: Int) -> Bool {
    var name = name
    return frames[frame].nameBits & Self.bit(&name) != 0
  }

  /// The nested container that a second request for the same name continues.
  func nestedFrame(_ kind: EncodingFrame.Kind, named name: String, in id: FrameID) -> FrameID? {
    guard kind != .undecided, isAlive(id), mayHold(name, in: id.index) else { return nil }
    var name = name
    return unsafe writer.withBytes { bytes in
      let slots = unsafe SlotBytes(bytes)
      for (index, frame) in frames.enumerated().dropFirst(id.index + 1) {
        guard frame.parent == id.index, frame.kind == kind, frame.serial >= 0 else { continue }
        guard case .name(let byteCount) = frame.key else { continue }
        if slots.equals(frame.start - byteCount..<frame.start, &name) {
          return FrameID(index: index, serial: frame.serial)
        }
      }
      return nil
    }
  }

  /// One of 64 bits, from the length and up to 16 bytes of a name.
  @inline(__always)
  private static func bit(_ name: inout String) -> UInt64 {
    name.withUTF8 { name in
      let count = name.count
      var mixed = UInt64(truncatingIfNeeded: count)
      if let start = unsafe UnsafeRawPointer(name.baseAddress) {
        if count >= 8 {
          mixed ^= unsafe start.loadUnaligned(as: UInt64.self)
          let last = unsafe start.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self)
          mixed = (mixed ^ (mixed >> 29)) &* 0xBF58_476D_1CE4_E5B9 ^ last
        } else if count >= 4 {
          mixed ^= UInt64(unsafe start.loadUnaligned(as: UInt32.self)) << 32
          mixed ^=
            UInt64(
              unsafe start.loadUnaligned(fromByteOffset: count - 4, as: UInt32.self)) << 8
        } else {
          for index in 0..<count { mixed = mixed << 8 ^ UInt64(unsafe name[index]) }
        }
      }
      // The top six bits of a multiplicative hash, by 2^64 divided by the golden ratio.
      return 1 << (((mixed ^ (mixed >> 32)) &* 0x9E37_79B9_7F4A_7C15) >> 58)
    }
  }

  private func entry(named name: inout String, in frame: Int) throws -> Range<Int>? {
    var found: Range<Int>?
    var wanted = name
    try forEachEntry(of: frame) { slots, entry in
      if slots.equals(entry.name, &wanted) {
        found = entry.name.lowerBound - SlotLayout.nameHeader..<entry.slot.end
      }
      return found == nil
    }
    return found
  }

  /// Goes through the entries that a container holds so far, until `body` returns false.
  private func forEachEntry(
    of frame: Int, _ body: (SlotBytes, (name: Range<Int>, slot: SlotRange)) throws -> Bool
  ) throws {
    let end = frames[frame].isOpen ? writer.count : frames[frame].end
    var offset = frames[frame].start + SlotLayout.containerHeader
    try unsafe writer.withBytes { bytes in
      let slots = unsafe SlotBytes(bytes)
      while offset < end {
        let entry = try slots.entry(at: offset, limit: end)
        guard try body(slots, entry) else { return }
        offset = entry.slot.end
      }
    }
  }
}
