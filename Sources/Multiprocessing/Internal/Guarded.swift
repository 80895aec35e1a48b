// A value behind a lock, for values that are not Sendable: what leaves the lock is the caller's affair.

internal import Synchronization

/// `Mutex` checks that nothing that is not Sendable passes its border; results of the user's types, decoded
/// by one thread and taken by another, do so by design, each once.
final class Guarded<Value>: @unchecked Sendable {  // `lock` guards `value`.
  private let lock = Mutex(())
  private var value: Value

  init(_ value: Value) {
    self.value = value
  }

  @inline(__always)
  func withLock<R>(_ body: (inout Value) -> R) -> R {
    var result: R?
    lock.withLock { _ in result = body(&value) }
    return result!  // The lock always runs its body.
  }
}
