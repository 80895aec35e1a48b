// ByteWriter appends bytes to memory it was lent, for example a free stretch of a ring, and moves
// to memory of its own when that is full: to the heap, and on request, when it grows large, to a
// memfd, which can be handed over as it is. Nothing is ever written beyond the lent region; after a
// spill the region's content is meaningless and the whole output lies in the writer's memory.

internal import CMultiprocessing
internal import Glibc

/// An output buffer: a lent region first, memory of its own beyond that.
///
/// Appending costs one comparison and a copy; growing doubles. The lent region must stay valid
/// until the writer ends or has spilled. One thread at a time.
@safe
struct ByteWriter: ~Copyable {
  private var base: UnsafeMutableRawPointer
  private var capacity: Int

  /// How many bytes have been written.
  private(set) var count = 0

  /// Whether the output outgrew the lent region and lies in memory of the writer's own.
  private(set) var isSpilled = false

  /// The memfd that holds the output; nil: it lies elsewhere.
  private(set) var memory: MessageMemory?

  /// From this size on the output is to be in a memfd.
  private let memoryLimit: Int

  /// Where there may be one that was used before.
  private let memories: MessageMemories?

  /// How many bytes can be appended without moving.
  var room: Int { capacity - count }

  /// A writer into `region`, which may be empty. Output that needs more than `memoryLimit` bytes moves to a memfd, if
  /// one is to be had.
  init(
    region: UnsafeMutableRawBufferPointer, memoryLimit: Int = .max, memories: MessageMemories? = nil
  ) {
    self.memoryLimit = memoryLimit
    self.memories = memories
    // An empty region may have no address; a pointer that is never dereferenced stands in for it.
    unsafe base = region.baseAddress ?? Self.placeholder
    capacity = region.count
  }

  deinit {
    if let memory {
      memory.release()
    } else if isSpilled {
      unsafe free(base)
    }
  }

  /// Room for `byteCount` bytes at the end, not initialised; valid until the next mutating call.
  @inline(__always)
  mutating func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer {
    if byteCount > capacity - count { grow(by: byteCount) }
    let room = unsafe base + count
    count += byteCount
    return unsafe room
  }

  @inline(__always)
  mutating func append(_ bytes: UnsafeRawBufferPointer) {
    guard let source = bytes.baseAddress, bytes.count > 0 else { return }
    unsafe allocate(bytes.count).copyMemory(from: source, byteCount: bytes.count)
  }

  /// Appends the bytes of a value for which `ValueCoding.isBytes` holds; others would be torn
  /// apart.
  @inline(__always)
  mutating func appendValue<T>(_ value: T) {
    unsafe withUnsafeBytes(of: value) { unsafe append($0) }
  }

  /// Forgets what was written from `count` on.
  mutating func truncate(to count: Int) {
    precondition(count >= 0 && count <= self.count, "truncating to more than was written")
    self.count = count
  }

  func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    try unsafe body(UnsafeRawBufferPointer(start: base, count: count))
  }

  /// As `withBytes`, for going back to bytes already written.
  mutating func withMutableBytes<R>(
    _ body: (UnsafeMutableRawBufferPointer) throws -> R
  ) rethrows -> R {
    try unsafe body(UnsafeMutableRawBufferPointer(start: base, count: count))
  }

  /// The memory that holds the output, which is another's to free now; the writer is empty then.
  mutating func handOver() -> MessageMemory? {
    guard let memory else { return nil }
    self.memory = nil
    unsafe base = Self.placeholder
    (count, capacity, isSpilled) = (0, 0, false)
    return memory
  }

  private static var placeholder: UnsafeMutableRawPointer {
    unsafe UnsafeMutableRawPointer(bitPattern: 64)!  // 64 is not null.
  }

  @inline(never)
  private mutating func grow(by byteCount: Int) {
    let needed = count + byteCount
    let newCapacity = max(needed, capacity * 2, 256)
    if needed > memoryLimit, growInMemory(needed, newCapacity) { return }
    // Beyond the limit it must come here again.
    let room = needed > memoryLimit ? newCapacity : min(newCapacity, memoryLimit)
    let isOnHeap = isSpilled && memory == nil
    let moved = unsafe isOnHeap ? realloc(base, room) : malloc(room)
    guard let moved = unsafe moved else { fatalError("out of memory: \(room) bytes") }
    if !isOnHeap { unsafe moved.copyMemory(from: base, byteCount: count) }
    memory?.release()
    memory = nil
    unsafe base = moved
    capacity = room
    isSpilled = true
  }

  /// False: there is no memfd; the output stays where it is.
  private mutating func growInMemory(_ needed: Int, _ newCapacity: Int) -> Bool {
    if memory?.grow(room: newCapacity) != true {
      guard let roomier = memories?.take(room: needed) ?? MessageMemory(room: newCapacity) else {
        return false
      }
      unsafe roomier.base.copyMemory(from: base, byteCount: count)
      if let memory {
        memory.release()
      } else if isSpilled {
        unsafe free(base)
      }
      memory = roomier
    }
    guard let memory else { return false }
    unsafe base = memory.base
    capacity = memory.room
    isSpilled = true
    return true
  }
}
