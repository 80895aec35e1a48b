// The memory that large messages cross in. Used again and again: to get new pages from the kernel takes several
// times as long as the copies.

internal import CMultiprocessing
internal import Synchronization

/// A memfd that holds one message at a time, and in its last bytes a word that says whose it is: 0 while a message
/// is written, under way or read; 1 when it is free.
///
/// Who takes it exchanges 1 for 0, so that of a process and its forked copies, which share it, one has it. A sender
/// that dies with it loses nothing but the memory; a receiver that dies leaves 0, and it is never used again. A
/// receiver that frees it too early reads another message of its own sender: its own loss.
///
/// Sendable because one thread at a time has it; the others only try to.
@safe
final class MessageMemory: @unchecked Sendable {
  static let tailBytes = 64

  private(set) var descriptor: Int32 = -1
  private(set) var base: UnsafeMutableRawPointer
  private var byteCount = 0

  /// Its size is final, whoever else has it.
  private(set) var isSealed = false

  /// What the receiver is told of its size; 0: it is not to be freed.
  var sharedByteCount: Int { isSealed ? byteCount : 0 }

  /// What a message may take.
  var room: Int { byteCount - Self.tailBytes }

  /// nil: there is no memory.
  init?(room: Int) {
    unsafe base = UnsafeMutableRawPointer(bitPattern: 64)!  // Not used before there is a mapping.
    guard grow(room: room) else { return nil }
  }

  deinit {
    guard descriptor >= 0 else { return }
    _ = unsafe mproc_unmap(base, byteCount)
    _ = mproc_close(descriptor)
  }

  /// Enlarges what is not sealed. False: there is no memory; it stays as it was.
  func grow(room: Int) -> Bool {
    guard !isSealed else { return false }
    let size = (room + Self.tailBytes + 0xF_FFFF) & ~0xF_FFFF
    var mapped: UnsafeMutableRawPointer? = unsafe descriptor < 0 ? nil : base
    guard unsafe mproc_memfd_grow("mproc-message", &descriptor, &mapped, byteCount, size) == 0,
      let mapped = unsafe mapped
    else { return false }
    unsafe base = mapped
    byteCount = size
    return true
  }

  /// Fixes its size. Where that cannot be done, whoever has it could take it away under the writer: it is used once.
  func seal() { isSealed = isSealed || mproc_memfd_seal(descriptor) == 0 }

  /// The word in memory of `byteCount` bytes, if there is one.
  static func word(
    _ base: UnsafeMutableRawPointer, _ byteCount: Int
  ) -> UnsafeMutablePointer<UInt64>? {
    guard byteCount >= tailBytes, byteCount.isMultiple(of: 8) else { return nil }
    return unsafe (base + byteCount - tailBytes).assumingMemoryBound(to: UInt64.self)
  }

  /// Takes it, if it is free.
  func claim() -> Bool {
    guard let word = unsafe Self.word(base, byteCount) else { return false }
    return unsafe mproc_compare_exchange_seq(word, 1, 0) == 1
  }

  /// Frees what was not sent.
  func release() {
    if let word = unsafe Self.word(base, byteCount) { unsafe mproc_store_seq(word, 1) }
  }
}

/// What one end of a connection has sent messages in.
final class MessageMemories: Sendable {
  /// So much is kept, in bytes, and so many: each is an open descriptor.
  static let limit = 64 << 20
  static let mostKept = 4

  private let kept = Mutex<[MessageMemory]>([])

  /// Memory that is free, and large enough.
  func take(room: Int) -> MessageMemory? {
    kept.withLock { $0.first { $0.room >= room && $0.claim() } }
  }

  /// Keeps what is being sent, for when the receiver is done with it; gives up the oldest for it.
  func keep(_ memory: MessageMemory) {
    guard memory.isSealed, memory.room <= Self.limit else { return }
    let old = kept.withLock { kept in
      if kept.contains(where: { $0 === memory }) { return ArraySlice<MessageMemory>() }
      kept.append(memory)
      var (count, total) = (0, 0)
      for memory in kept.reversed() {
        total += memory.room
        if total > Self.limit || count == Self.mostKept { break }
        count += 1
      }
      let old = kept.dropLast(count)
      kept.removeFirst(kept.count - count)
      return old
    }
    // Unmapped outside the lock.
    _ = old
  }

  func removeAll() {
    let all = kept.withLock { kept in
      defer { kept = [] }
      return kept
    }
    _ = all
  }
}
