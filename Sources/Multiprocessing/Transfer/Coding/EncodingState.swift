// EncodingState writes one value: it owns the stack of open frames and decides where bytes go.
//
// A frame is a slot whose content is not complete: that of a value whose encode(to:) runs, or that
// of a nested container. Open frames form a chain from the outermost value to the one being
// written, the top; their bytes end where the output ends, so writing to the top is appending.
// Writing to a frame further down closes those above it. Writing to a closed frame, which only code
// does that holds several nested containers at once, is slower: see EncodingState+Splice.swift.

/// The state that all encoders and containers of one encoding share.
///
/// It never leaves the thread that encodes, and no access to a part of it lasts while another
/// begins. So that this is not checked again at run time, which would cost a third of the time to
/// encode a small value, the parts lie behind a pointer.
@safe
final class EncodingState {
  /// The output; valid until `finish()`.
  private let output: UnsafeMutablePointer<ByteWriter>
  private let parts: UnsafeMutablePointer<Parts>
  let context: TransferContext?
  /// What went wrong where the Encoder protocol gives no way to throw.
  private var misuse: EncodingError?

  private struct Parts {
    var frames: [EncodingFrame] = []
    var top = FrameID.nothingOpen
    var nesting = NestingGuard()
    var nextSerial = 0
    var manyNames: [Int: Set<String>] = [:]
  }

  init(output: UnsafeMutablePointer<ByteWriter>, context: TransferContext?) {
    unsafe self.output = output
    unsafe parts = .allocate(capacity: 1)
    unsafe parts.initialize(to: Parts())
    self.context = context
    frames.reserveCapacity(8)
  }

  deinit {
    unsafe parts.deinitialize(count: 1)
    unsafe parts.deallocate()
  }

  @inline(__always)
  var frames: [EncodingFrame] {
    _read { yield unsafe parts.pointee.frames }
    _modify { yield unsafe &parts.pointee.frames }
  }

  @inline(__always)
  var top: FrameID {
    get { unsafe parts.pointee.top }
    set { unsafe parts.pointee.top = newValue }
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

  /// The names in containers with many of them, by the serial number of their frames.
  @inline(__always)
  var manyNames: [Int: Set<String>] {
    _read { yield unsafe parts.pointee.manyNames }
    _modify { yield unsafe &parts.pointee.manyNames }
  }

  /// The output. No container reaches this without having shown that its frame lives, so nothing
  /// that outlives the encoding does.
  @inline(__always)
  var writer: ByteWriter {
    unsafeAddress { unsafe UnsafePointer(output) }
    unsafeMutableAddress { unsafe output }
  }

  /// Ends the encoding; containers that are still held refuse from here on.
  func finish() throws {
    frames.removeAll()
    top = .nothingOpen
    if let misuse { throw misuse }
  }

  func report(_ error: EncodingError) {
    if misuse == nil { misuse = error }
  }
}

/// A slot whose content is not complete, or that may be written to again.
struct EncodingFrame {
  enum Kind { case undecided, single, keyed, unkeyed }

  var serial: Int
  /// The frame that holds this one's slot; -1 for the outermost.
  let parent: Int
  let key: PathKey
  var kind: Kind
  /// Where the slot's tag is.
  var start: Int
  /// Where the slot ends, once it is closed.
  var end = 0
  var isOpen = true
  /// How many entries or elements it holds.
  var count = 0
  /// A bit for each name in a keyed container; see `EncodingState.claim`.
  var nameBits: UInt64 = 0
}

// MARK: - Frames

extension EncodingState {
  @inline(__always)
  func isAlive(_ id: FrameID) -> Bool {
    id.index >= 0 && id.index < frames.count && frames[id.index].serial == id.serial
  }

  /// Opens a frame at the end of the output and makes it the top.
  func push(_ kind: EncodingFrame.Kind, parent: Int, key: PathKey) -> FrameID {
    let id = FrameID(index: frames.count, serial: nextSerial)
    nextSerial += 1
    frames.append(
      EncodingFrame(serial: id.serial, parent: parent, key: key, kind: kind, start: writer.count))
    if kind != .undecided { appendContainerHeader(kind) }
    top = id
    return id
  }

  /// Closes a frame that `push` opened and forgets it and those above it.
  func pop(_ id: FrameID, to enclosing: FrameID) {
    if isAlive(id), frames[id.index].isOpen { closeFrames(above: id.index - 1) }
    if !manyNames.isEmpty {
      for frame in frames.dropFirst(id.index) { manyNames[frame.serial] = nil }
    }
    frames.removeLast(max(0, frames.count - id.index))
    top = enclosing
  }

  /// Closes the top and the frames below it as far as, and not including, frame `index`.
  func closeFrames(above index: Int) {
    var current = top.index
    while current > index, frames[current].isOpen {
      close(current)
      current = frames[current].parent
    }
  }

  private func close(_ index: Int) {
    if frames[index].kind == .undecided { appendContainerHeader(.keyed) }
    frames[index].isOpen = false
    frames[index].end = writer.count
    patchHeader(index)
  }

  func appendContainerHeader(_ kind: EncodingFrame.Kind) {
    let tag = kind == .unkeyed ? SlotTag.unkeyed : .keyed
    let room = unsafe writer.allocate(SlotLayout.containerHeader)
    unsafe room.storeBytes(of: tag.rawValue, as: UInt8.self)
    unsafe room.storeBytes(of: 8, toByteOffset: 1, as: Int.self)
    unsafe room.storeBytes(of: 0, toByteOffset: SlotLayout.header, as: Int.self)
  }

  /// Writes the tag, the byte count and the element count of a closed container.
  func patchHeader(_ index: Int) {
    let frame = frames[index]
    guard frame.kind != .single else { return }
    let tag = frame.kind == .unkeyed ? SlotTag.unkeyed : .keyed
    let byteCount = frame.end - frame.start - SlotLayout.header
    unsafe writer.withMutableBytes { bytes in
      unsafe bytes.storeBytes(of: tag.rawValue, toByteOffset: frame.start, as: UInt8.self)
      unsafe bytes.storeBytes(of: byteCount, toByteOffset: frame.start + 1, as: Int.self)
      unsafe bytes.storeBytes(
        of: frame.count, toByteOffset: frame.start + SlotLayout.header, as: Int.self)
    }
  }

  func codingPath(of id: FrameID) -> [any CodingKey] {
    isAlive(id) ? path(to: id.index) : []
  }

  /// The path of frame `index`, or of a slot in it that is about to be written.
  private func path(to index: Int, adding key: PathKey = .root) -> [any CodingKey] {
    unsafe writer.withBytes { bytes in
      let slots = unsafe SlotBytes(bytes)
      var path: [any CodingKey] = []
      if let key = slots.codingKey(key, before: bytes.count) { path.append(key) }
      var index = index
      while index >= 0 {
        let frame = frames[index]
        if let key = slots.codingKey(frame.key, before: frame.start) { path.append(key) }
        index = frame.parent
      }
      return path.reversed()
    }
  }
}

// MARK: - Values

extension EncodingState {
  /// Writes the slot of a value. `parent` is the frame that holds the slot.
  @inline(__always)
  func encodeSlot<T: Encodable>(_ value: T, parent: Int, key: PathKey) throws {
    if let tag = SlotTag.ofPrimitive(T.self) {
      DirectSlot.append(tag, value, to: &writer)
    } else if T.self == String.self {
      DirectSlot.append(unsafe unsafeBitCast(value, to: String.self), to: &writer)
    } else {
      try encodeOther(value, parent: parent, key: key)
    }
  }

  /// Writes the slot of what an optional holds; when that is null itself, it is wrapped, so that it
  /// does not arrive as an optional that holds nothing.
  @inline(__always)
  func encodeSome<T: Encodable>(_ value: T, parent: Int, key: PathKey) throws {
    let start = writer.count
    try encodeSlot(value, parent: parent, key: key)
    let tag = unsafe writer.withBytes { unsafe SlotTag(checking: $0[start]) }
    guard tag == .null || tag == .some else { return }
    let depth = writer.count - start
    writer.truncate(to: start)
    for _ in 0..<depth { DirectSlot.append(.some, to: &writer) }
    DirectSlot.append(.null, to: &writer)
  }

  @inline(never)
  private func encodeOther<T: Encodable>(_ value: T, parent: Int, key: PathKey) throws {
    if let direct = T.self as? any DirectlyCoded.Type {
      try direct.encodeSlot(erased: value, to: self, parent: parent, key: key)
    } else if DirectSlot.travelsAsBytes(T.self) {
      DirectSlot.append(bytesOf: value, to: &writer)
    } else if !ByteCollection.append(value, to: &writer) {
      try encodeCodable(value, parent: parent, key: key)
    }
  }

  /// Writes the slot of a value through its Codable conformance.
  private func encodeCodable<T: Encodable>(_ value: T, parent: Int, key: PathKey) throws {
    guard nesting.enter() else { throw tooDeep(value, path: path(to: parent, adding: key)) }
    defer { nesting.leave() }
    let enclosing = top
    let id = push(.undecided, parent: parent, key: key)
    defer { pop(id, to: enclosing) }
    try value.encode(to: SlotEncoder(state: self, id: id))
  }
}

// MARK: - Errors

extension EncodingState {
  static var useAfterEnd: EncodingError {
    .invalidValue(
      "container",
      .init(
        codingPath: [],
        debugDescription: "a container or encoder was used after its value had been encoded"))
  }

  @inline(never)
  private func tooDeep<T>(_ value: T, path: [any CodingKey]) -> EncodingError {
    .invalidValue(
      value,
      .init(
        codingPath: path,
        debugDescription: """
          a value of type \(T.self) is nested \(nesting.depth) levels deep; at most \
          \(NestingGuard.maximumDepth) levels are allowed, and fewer on a small stack
          """))
  }
}
