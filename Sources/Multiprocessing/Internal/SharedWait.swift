// Waiting in shared memory: on the caller's thread, or on one of its own while a task is suspended.

internal import CMultiprocessing
internal import Glibc

enum SharedWait {
  /// Waits on the calling thread: the C core's result.
  static func blocking(
    _ limit: Duration?, _ wait: (mproc_patience) -> Int32
  ) -> Int32 {
    unsafe wait(mproc_patience(deadline_ns: deadline(limit), cancelled: nil))
  }

  /// Waits without holding a thread of Swift's pool: a thread of its own waits, if it comes to that. Throws
  /// `CancellationError` when the task is cancelled; that is noticed within 20 ms.
  static func suspended(
    _ limit: Duration?, _ wait: @escaping @Sendable (mproc_patience) -> Int32
  ) async throws -> Int32 {
    try Task.checkCancellation()
    // A deadline that has passed: takes what is there.
    let immediate = unsafe wait(mproc_patience(deadline_ns: 0, cancelled: nil))
    if immediate != -ETIMEDOUT { return immediate }
    return unsafe try await suspendedOnce(limit, wait)
  }

  /// As above, for what cannot be tried: a wait that is given up has an effect.
  static func suspendedOnce(
    _ limit: Duration?, _ wait: @escaping @Sendable (mproc_patience) -> Int32
  ) async throws -> Int32 {
    try Task.checkCancellation()
    let deadline = deadline(limit)
    let flag = CancellationFlag()
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let begun = runOnThread("mproc-waiter") {
          continuation.resume(
            returning: unsafe wait(mproc_patience(deadline_ns: deadline, cancelled: flag.word)))
        }
        // No thread is to be had: then this one waits.
        if !begun {
          continuation.resume(
            returning: unsafe wait(mproc_patience(deadline_ns: deadline, cancelled: flag.word)))
        }
      }
    } onCancel: {
      flag.set()
    }
    if result == -ECANCELED { throw CancellationError() }
    return result
  }

  private static func deadline(_ limit: Duration?) -> UInt64 {
    guard let limit else { return UInt64.max }
    return mproc_now_ns() &+ limit.nanoseconds
  }
}

/// A word that says whether a wait is to be given up.
@safe
private final class CancellationFlag: @unchecked Sendable {
  private let memory = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)

  init() { unsafe memory.initialize(to: 0) }

  deinit { unsafe memory.deallocate() }

  var word: UnsafePointer<UInt32> {
    unsafe UnsafeRawPointer(memory).assumingMemoryBound(to: UInt32.self)
  }

  func set() { unsafe mproc_store_seq(memory, UInt64.max) }
}
