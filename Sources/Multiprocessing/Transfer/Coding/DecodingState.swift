// DecodingState reads one value: it owns the bytes and a frame for each value and nested container
// that is being read. A frame remembers where its slot lies and, for keyed containers, where the
// next name is expected.

/// The state that all decoders and containers of one decoding share. It is built as `EncodingState`
/// is, and for the same reason.
@safe
final class DecodingState {
  private let parts: UnsafeMutablePointer<Parts>
  let context: TransferContext?

  private struct Parts {
    var slots: SlotBytes
    var frames: [DecodingFrame] = []
    var nesting = NestingGuard()
    var nextSerial = 0
    var indexes: [Int: [String: SlotRange]] = [:]
  }

  init(slots: SlotBytes, context: TransferContext?) {
    unsafe parts = .allocate(capacity: 1)
    unsafe parts.initialize(to: Parts(slots: slots))
    self.context = context
    frames.reserveCapacity(8)
  }

  deinit {
    unsafe parts.deinitialize(count: 1)
    unsafe parts.deallocate()
  }

  /// The bytes; empty once the decoding has ended, so that whatever outlives it reads nothing.
  @inline(__always)
  private(set) var slots: SlotBytes {
    get { unsafe parts.pointee.slots }
    set { unsafe parts.pointee.slots = newValue }
  }

  @inline(__always)
  var frames: [DecodingFrame] {
    _read { yield unsafe parts.pointee.frames }
    _modify { yield unsafe &parts.pointee.frames }
  }

  @inline(__always)
  private var nesting: NestingGuard {
    _read { yield unsafe parts.pointee.nesting }
    _modify { yield unsafe &parts.pointee.nesting }
  }

  @inline(__always)
  private var nextSerial: Int {
    get { unsafe parts.pointee.nextSerial }
    set { unsafe parts.pointee.nextSerial = newValue }
  }

  /// The slots by name of containers that are read in no order, by the serial number of their
  /// frames.
  @inline(__always)
  var indexes: [Int: [String: SlotRange]] {
    _read { yield unsafe parts.pointee.indexes }
    _modify { yield unsafe &parts.pointee.indexes }
  }

  func finish() {
    frames.removeAll()
    slots = unsafe SlotBytes(UnsafeRawBufferPointer(start: nil, count: 0))
  }
}

/// A value or a nested container that is being read.
struct DecodingFrame {
  let serial: Int
  /// The frame that holds this one's slot; -1 for the outermost.
  let parent: Int
  let key: PathKey
  let slot: SlotRange
  /// Where a keyed container's next entry is expected.
  var cursor: Int
}

// MARK: - Frames

extension DecodingState {
  func push(_ slot: SlotRange, parent: Int, key: PathKey) -> FrameID {
    let id = FrameID(index: frames.count, serial: nextSerial)
    nextSerial += 1
    frames.append(
      DecodingFrame(
        serial: id.serial, parent: parent, key: key, slot: slot,
        cursor: slot.start + SlotLayout.containerHeader))
    return id
  }

  /// Forgets a frame and those above it.
  func pop(_ id: FrameID) {
    if !indexes.isEmpty {
      for frame in frames.dropFirst(id.index) { indexes[frame.serial] = nil }
    }
    frames.removeLast(max(0, frames.count - id.index))
  }

  /// Throws when the value that `id` belongs to has been decoded already.
  @inline(__always)
  func check(_ id: FrameID) throws {
    guard id.index >= 0, id.index < frames.count, frames[id.index].serial == id.serial else {
      throw SlotBytes.malformed("a container or decoder was used after its value had been decoded")
    }
  }

  func codingPath(of id: FrameID) -> [any CodingKey] {
    (try? check(id)) == nil ? [] : path(to: id.index)
  }

  /// The path of frame `index`, or of a slot in it.
  func path(
    to index: Int, adding key: PathKey = .root, of slot: SlotRange = SlotRange(start: 0, end: 0)
  ) -> [any CodingKey] {
    var path: [any CodingKey] = []
    if let key = slots.codingKey(key, before: slot.start) { path.append(key) }
    var index = index
    while index >= 0 {
      let frame = frames[index]
      if let key = slots.codingKey(frame.key, before: frame.slot.start) { path.append(key) }
      index = frame.parent
    }
    return path.reversed()
  }
}

// MARK: - Values

extension DecodingState {
  /// Reads the value in a slot. `parent` is the frame that holds the slot.
  @inline(__always)
  func decodeSlot<T: Decodable>(
    _ type: T.Type, _ slot: SlotRange, parent: Int, key: PathKey
  ) throws -> T {
    if let expected = SlotTag.ofPrimitive(T.self) {
      let tag = try slots.tag(at: slot.start, limit: slot.end)
      if tag == expected, tag != .bool, slot.end - slot.start == 1 + MemoryLayout<T>.size {
        return unsafe slots.slice(slot.start + 1..<slot.end).loadUnaligned(as: T.self)
      }
      return try decodeConverted(type, slot, parent: parent, key: key)
    }
    if T.self == String.self {
      return unsafe unsafeBitCast(
        try decodeString(slot, parent: parent, key: key), to: T.self)
    }
    return try decodeOther(type, slot, parent: parent, key: key)
  }

  private func decodeString(_ slot: SlotRange, parent: Int, key: PathKey) throws -> String {
    guard try slots.tag(at: slot.start, limit: slot.end) == .string else {
      throw mismatch(String.self, slot, parent: parent, key: key)
    }
    return try slots.string(slots.content(of: slot))
  }

  /// Reads a Bool, or a number that was written as a number of another type, if its value fits.
  @inline(never)
  private func decodeConverted<T>(
    _ type: T.Type, _ slot: SlotRange, parent: Int, key: PathKey
  ) throws -> T {
    let number = try slots.number(at: slot)
    if let number, let value = number.value(as: type) { return value }
    throw mismatch(type, slot, parent: parent, key: key)
  }

  @inline(never)
  private func decodeOther<T: Decodable>(
    _ type: T.Type, _ slot: SlotRange, parent: Int, key: PathKey
  ) throws -> T {
    if let direct = T.self as? any DirectlyCoded.Type {
      if let value = try direct.decodeSlot(as: type, slot, from: self, parent: parent, key: key) {
        return value
      }
    } else if try slots.tag(at: slot.start, limit: slot.end) == .bytes {
      let content = try slots.content(of: slot)
      guard DirectSlot.travelsAsBytes(type), content.count == MemoryLayout<T>.size else {
        throw mismatch(type, slot, parent: parent, key: key)
      }
      var reader = unsafe ByteReader(slots.slice(content))
      return try reader.readValue(as: type)
    } else if let value = try ByteCollection.read(type, in: slots, at: slot) {
      return value
    }
    return try decodeCodable(type, slot, parent: parent, key: key)
  }

  /// Reads a value through its Codable conformance.
  func decodeCodable<T: Decodable>(
    _ type: T.Type, _ slot: SlotRange, parent: Int, key: PathKey
  ) throws -> T {
    var slot = slot
    // What was written as an optional may be read as what the optional holds.
    while try slots.tag(at: slot.start, limit: slot.end) == .some { slot.start += 1 }
    guard nesting.enter() else {
      throw tooDeep(type, path: path(to: parent, adding: key, of: slot))
    }
    defer { nesting.leave() }
    let id = push(slot, parent: parent, key: key)
    defer { pop(id) }
    return try T(from: SlotDecoder(state: self, id: id))
  }
}

// MARK: - Errors

extension DecodingState {
  @inline(never)
  func mismatch<T>(
    _ type: T.Type, _ slot: SlotRange, parent: Int, key: PathKey
  ) -> DecodingError {
    let path = path(to: parent, adding: key, of: slot)
    let tag = try? slots.tag(at: slot.start, limit: slot.end)
    let found = tag.map { "\($0)" } ?? "no value"
    let context = DecodingError.Context(
      codingPath: path, debugDescription: "\(T.self) is expected where \(found) was encoded")
    return tag == .null ? .valueNotFound(type, context) : .typeMismatch(type, context)
  }

  @inline(never)
  private func tooDeep<T>(_ type: T.Type, path: [any CodingKey]) -> DecodingError {
    .dataCorrupted(
      .init(
        codingPath: path,
        debugDescription: """
          a value of type \(T.self) is nested \(nesting.depth) levels deep; at most \
          \(NestingGuard.maximumDepth) levels are allowed, and fewer on a small stack
          """))
  }
}
