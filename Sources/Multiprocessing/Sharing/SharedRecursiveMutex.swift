// A lock that its holder may take again.

internal import CMultiprocessing
internal import Glibc

/// A lock that the thread which holds it may take again; Python's `RLock`.
///
/// It guards no state of its own, because two bodies of one thread would both have it. Blocking only: an `await`
/// changes threads. A process that dies in it hands it on, as with ``SharedMutex``.
public final class SharedRecursiveMutex: Codable, Sendable {
  /// The lock; then, guarded by it, the thread that holds it and how often. Read by threads that do not hold it, to
  /// see that they do not.
  private struct Words {
    var lock: mproc_lock
    var thread: UInt64
    var depth: UInt64
  }

  private let cell: SharedCell

  /// - Throws: `.startFailed` when there is no memory.
  public init() throws(ProcessError) {
    cell = try SharedCell(.recursiveMutex, detail: 0, byteCount: MemoryLayout<Words>.size)
  }

  private var words: UnsafeMutablePointer<Words> { unsafe cell.words(as: Words.self) }

  /// Runs `body` with the lock held. Throws what it throws.
  public func withLock<R: ~Copyable, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
    _ = acquire()
    defer { release() }
    return try body()
  }

  /// Runs `body` with the lock held and tells it whether the previous owner died.
  public func withLock<R: ~Copyable, E: Error>(
    _ body: (LockAcquisition) throws(E) -> R
  ) throws(E) -> R {
    let acquisition = LockAcquisition(previousOwnerDied: acquire())
    defer { release() }
    return try body(acquisition)
  }

  /// Whether the previous owner died.
  private func acquire() -> Bool {
    let thread = mproc_current_thread()
    if unsafe mproc_lock_is_mine(&words.pointee.lock),
      unsafe mproc_load_relaxed(&words.pointee.thread) == thread
    {
      unsafe words.pointee.depth &+= 1
      return false
    }
    let result = unsafe SharedWait.blocking(nil) {
      unsafe mproc_lock_acquire(&words.pointee.lock, $0)
    }
    unsafe mproc_store_relaxed(&words.pointee.thread, thread)
    unsafe words.pointee.depth = 1
    return result == 1
  }

  private func release() {
    // Whatever another process has written there, this one goes on.
    let depth = unsafe words.pointee.depth
    unsafe words.pointee.depth = depth &- 1
    if depth > 1 { return }
    unsafe mproc_store_relaxed(&words.pointee.thread, 0)
    _ = unsafe mproc_lock_release(&words.pointee.lock)
  }

  /// Throws `EncodingError` outside a transfer to another process.
  public func encode(to encoder: any Encoder) throws { try cell.encode(to: encoder) }

  /// Throws `DecodingError` outside a transfer to another process.
  public init(from decoder: any Decoder) throws {
    cell = try SharedCell(.recursiveMutex, from: decoder) { _ in MemoryLayout<Words>.size }
  }
}
