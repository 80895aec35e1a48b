// Changes to what is written already: a nested container that is written to after its parent went
// on, and a name that is encoded twice. New bytes are appended to the output first, where all the
// ordinary rules hold, and then moved to their place, and the frames behind move along. Each such
// change costs a move of the bytes behind it; ordinary conformances make none.

extension EncodingState {
  /// Writes one entry at the end of a closed keyed container.
  func spliceEntry(into id: FrameID, _ name: String, _ body: (PathKey) throws -> Void) throws {
    var name = name
    _ = try claim(&name, in: id.index)
    try stage {
      let byteCount = try appendName(&name)
      try body(.name(byteCount: byteCount))
    } replacing: {
      append(to: id.index)
    }
  }

  /// Writes one element at the end of a closed unkeyed container.
  func spliceElement(into id: FrameID, _ body: (PathKey) throws -> Void) throws {
    try stage {
      try body(.index(frames[id.index].count))
    } replacing: {
      append(to: id.index)
    }
  }

  private func append(to frame: Int) -> (frame: Int, range: Range<Int>) {
    frames[frame].count += 1
    return (frame, frames[frame].end..<frames[frame].end)
  }

  /// Writes the value of a closed slot, in place of the empty container that stands there.
  func spliceSingle(_ id: FrameID, _ body: () throws -> Void) throws {
    try stage(body) {
      frames[id.index].kind = .single
      return (id.index, frames[id.index].start..<frames[id.index].end)
    }
  }

  private func stage(
    _ body: () throws -> Void, replacing target: () -> (frame: Int, range: Range<Int>)
  ) throws {
    let enclosing = top
    let tail = writer.count
    let frameCount = frames.count
    defer { top = enclosing }
    do {
      try body()
    } catch {
      writer.truncate(to: tail)
      frames.removeLast(max(0, frames.count - frameCount))
      throw error
    }
    closeFrames(above: frameCount - 1)
    let (frame, range) = target()
    replace(range, of: frame, withBytesFrom: tail, framesFrom: frameCount)
  }

  /// Removes an entry of a container, and makes the frames inside it unusable.
  func remove(_ range: Range<Int>, of frame: Int) {
    for index in frames.indices.dropFirst(frame + 1) where range.contains(frames[index].start) {
      frames[index].serial = FrameID.none.serial
    }
    replace(range, of: frame, withBytesFrom: writer.count, framesFrom: frames.count)
    frames[frame].count -= 1
  }

  /// Moves the output from `tail` on, with the frames from `firstMoved` on in it, to where `range`
  /// is.
  private func replace(
    _ range: Range<Int>, of frame: Int, withBytesFrom tail: Int, framesFrom firstMoved: Int
  ) {
    let growth = writer.count - tail - range.count
    moveBytes(from: tail, to: range)
    for index in frames.indices.prefix(firstMoved) {
      if isAncestor(index, orSelf: frame) {
        guard !frames[index].isOpen else { continue }
        frames[index].end += growth
        patchHeader(index)
      } else if frames[index].start >= range.upperBound {
        frames[index].start += growth
        frames[index].end += growth
      }
    }
    for index in frames.indices.dropFirst(firstMoved) {
      frames[index].start -= tail - range.lowerBound
      frames[index].end -= tail - range.lowerBound
    }
  }

  private func isAncestor(_ candidate: Int, orSelf frame: Int) -> Bool {
    var frame = frame
    while frame > candidate { frame = frames[frame].parent }
    return frame == candidate
  }

  private func moveBytes(from tail: Int, to range: Range<Int>) {
    let byteCount = writer.count - tail
    unsafe writer.withMutableBytes { bytes in
      guard let start = bytes.baseAddress else { return }
      unsafe withUnsafeTemporaryAllocation(byteCount: max(1, byteCount), alignment: 1) { moved in
        guard let moved = moved.baseAddress else { return }
        unsafe moved.copyMemory(from: start + tail, byteCount: byteCount)
        unsafe (start + range.lowerBound + byteCount).copyMemory(
          from: start + range.upperBound, byteCount: tail - range.upperBound)
        unsafe (start + range.lowerBound).copyMemory(from: moved, byteCount: byteCount)
      }
    }
    writer.truncate(to: writer.count - range.count)
  }
}
