// What the encoding containers ask for: entries, elements, single values and nested containers.
// Each write goes to the end of the output when its container is the top, which it nearly always
// is.

extension EncodingState {
  /// Writes one entry of a keyed container; `body` writes its slot. When `body` throws, nothing of
  /// the entry remains.
  @inline(__always)
  func writeEntry(to id: FrameID, _ name: String, _ body: (PathKey) throws -> Void) throws {
    if id.serial != top.serial, try !makeTop(id) {
      return try spliceEntry(into: id, name, body)
    }
    var name = name
    let start = try claim(&name, in: id.index)
    do {
      let byteCount = try appendName(&name)
      try body(.name(byteCount: byteCount))
    } catch {
      abandon(from: start, in: id)
      throw error
    }
    frames[id.index].count += 1
  }

  /// The same for a container of which it is known that it has no entry of this name and is the
  /// top.
  @inline(__always)
  func writeNewEntry(to id: FrameID, _ name: String, _ body: (PathKey) throws -> Void) throws {
    guard id.serial == top.serial else { return try writeEntry(to: id, name, body) }
    var name = name
    try body(.name(byteCount: appendName(&name)))
    frames[id.index].count += 1
  }

  /// Marks a name as left out, unless the container may hold it: then its value stays.
  func leaveOut(_ name: String, in id: FrameID) throws {
    guard isAlive(id) else { throw Self.useAfterEnd }
    if mayHold(name, in: id.index) { return }
    try writeEntry(to: id, name) { _ in DirectSlot.append(.absent, to: &writer) }
  }

  /// Writes one element of an unkeyed container, as `writeEntry` does.
  @inline(__always)
  func writeElement(to id: FrameID, _ body: (PathKey) throws -> Void) throws {
    if id.serial != top.serial, try !makeTop(id) { return try spliceElement(into: id, body) }
    let start = writer.count
    do {
      try body(.index(frames[id.index].count))
    } catch {
      abandon(from: start, in: id)
      throw error
    }
    frames[id.index].count += 1
  }

  /// Writes the only value of a single value container.
  @inline(__always)
  func writeSingle(_ id: FrameID, _ body: () throws -> Void) throws {
    guard isAlive(id) else { throw Self.useAfterEnd }
    guard frames[id.index].kind == .undecided else {
      throw EncodingError.invalidValue(
        "value",
        .init(
          codingPath: codingPath(of: id),
          debugDescription: "a second value for a single value container"))
    }
    guard frames[id.index].isOpen else { return try spliceSingle(id, body) }
    frames[id.index].kind = .single
    let start = writer.count
    do {
      try body()
    } catch {
      abandon(from: start, in: id)
      frames[id.index].kind = .undecided
      throw error
    }
  }

  /// Decides what the value `id` is, when its conformance asks for a container. A second request of
  /// the same kind, as a superclass makes that shares its subclass's encoder, continues the first.
  func decide(_ kind: EncodingFrame.Kind, for id: FrameID) -> FrameID {
    guard isAlive(id) else {
      report(Self.useAfterEnd)
      return .none
    }
    let current = frames[id.index].kind
    if current == kind { return id }
    guard current == .undecided else {
      report(
        .invalidValue(
          "container",
          .init(
            codingPath: codingPath(of: id),
            debugDescription: "the value asks for a \(kind) container after a \(current) one")))
      return .none
    }
    frames[id.index].kind = kind
    if frames[id.index].isOpen {
      appendContainerHeader(kind)
    } else {
      patchHeader(id.index)
    }
    return id
  }

  /// Opens a container, or the slot of a super encoder, inside the keyed container `id`.
  func openNested(_ kind: EncodingFrame.Kind, in id: FrameID, named name: String) -> FrameID {
    if let existing = nestedFrame(kind, named: name, in: id) { return existing }
    return opening { nested in
      try writeEntry(to: id, name) { nested = push(kind, parent: id.index, key: $0) }
    }
  }

  /// The same inside an unkeyed container.
  func openNested(_ kind: EncodingFrame.Kind, in id: FrameID) -> FrameID {
    opening { nested in
      try writeElement(to: id) { nested = push(kind, parent: id.index, key: $0) }
    }
  }

  private func opening(_ body: (inout FrameID) throws -> Void) -> FrameID {
    var nested = FrameID.none
    do {
      try body(&nested)
    } catch {
      report(error as? EncodingError ?? Self.useAfterEnd)
    }
    return nested
  }
}

// MARK: - Parts

extension EncodingState {
  /// Closes the frames above `id`; false: it is closed itself.
  @inline(never)
  private func makeTop(_ id: FrameID) throws -> Bool {
    guard isAlive(id) else { throw Self.useAfterEnd }
    guard frames[id.index].isOpen else { return false }
    closeFrames(above: id.index)
    top = id
    return true
  }

  @inline(never)
  private func abandon(from start: Int, in id: FrameID) {
    writer.truncate(to: start)
    frames.removeLast(max(0, frames.count - id.index - 1))
    top = id
  }

  /// Appends the name of an entry and returns how many bytes it has.
  @inline(__always)
  func appendName(_ name: inout String) throws -> Int {
    try name.withUTF8 { bytes in
      guard let byteCount = UInt32(exactly: bytes.count) else {
        throw EncodingError.invalidValue(
          "key", .init(codingPath: [], debugDescription: "a key is longer than 4 GiB"))
      }
      let room = unsafe writer.allocate(SlotLayout.nameHeader + bytes.count)
      unsafe room.storeBytes(of: byteCount, as: UInt32.self)
      if let start = bytes.baseAddress {
        unsafe (room + SlotLayout.nameHeader).copyMemory(from: start, byteCount: bytes.count)
      }
      return bytes.count
    }
  }
}
