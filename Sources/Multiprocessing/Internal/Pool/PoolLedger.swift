// What became of everything that was submitted to a pool.

internal import Synchronization

/// Counts items; `pending` is what has been submitted and has not ended.
final class PoolLedger: Sendable {
  /// What the end of some items changes.
  struct Change {
    var succeeded = 0
    var failed = 0
    var cancelled = 0
    var crashed = 0

    init() {}

    /// None of the items has run, or the first one has: in a job that ends with its first failure the others
    /// count as cancelled.
    init(_ submission: Submission, _ failure: ItemFailure) {
      if submission.job.continuesAfterFailure {
        for _ in 0..<submission.count { add(failure) }
      } else {
        add(failure)
        cancelled += submission.count - 1
      }
    }

    mutating func add(_ failure: ItemFailure) {
      switch failure {
      case .outcome(let bytes):
        if bytes.first == OutcomeTag.cancelled.rawValue { cancelled += 1 } else { failed += 1 }
      case .error: failed += 1
      case .cancelled: cancelled += 1
      case .crashed: crashed += 1
      }
    }
  }

  private let counts = Mutex(ProcessPool.Statistics())
  /// Maps that still submit: what they have not submitted yet is accepted, too.
  private let maps = Atomic<Int>(0)
  private let waiters = Mutex<[CheckedContinuation<Void, Never>]>([])
  /// Set before a waiter looks at `pending`, read after `pending` became 0: one of the two sees the other.
  private let hasWaiters = Atomic<Bool>(false)

  var statistics: ProcessPool.Statistics { counts.withLock { $0 } }

  /// Counts items as submitted; each must then be sent or recorded as ended.
  func recordSubmitted(_ count: Int) {
    counts.withLock { counts in
      counts.submitted += count
      counts.pending += count
    }
  }

  /// As above, in so many records of `chunk` items, of which the last has `last`.
  func recordSubmitted(_ count: Int, records: Int, of chunk: Int, last: Int) {
    counts.withLock { counts in
      counts.submitted += count
      counts.pending += count
      counts.chunkSizes.add(chunk, records: records - 1)
      counts.chunkSizes.add(last, records: 1)
    }
  }

  /// Takes out what was counted for an item that no user submitted.
  func retract(_ failure: ItemFailure?) {
    var change = Change()
    if let failure { change.add(failure) } else { change.succeeded = 1 }
    counts.withLock { counts in
      counts.submitted -= 1
      counts.succeeded -= change.succeeded
      counts.failed -= change.failed
      counts.cancelled -= change.cancelled
      counts.crashed -= change.crashed
    }
  }

  func recordRestart() { counts.withLock { $0.restarts += 1 } }

  func recordRetry() { counts.withLock { $0.retries += 1 } }

  /// True when nothing is pending any more and somebody waits for that; then the caller calls `wakeWaiters`,
  /// with no lock held.
  func record(_ change: Change) -> Bool {
    let ended = change.succeeded + change.failed + change.cancelled + change.crashed
    guard ended != 0 else { return false }
    return counts.withLock { counts in
      counts.succeeded += change.succeeded
      counts.failed += change.failed
      counts.cancelled += change.cancelled
      counts.crashed += change.crashed
      counts.pending -= ended
      return counts.pending == 0
    } && hasWaiters.load(ordering: .sequentiallyConsistent)
  }

  func mapBegins() { maps.add(1, ordering: .sequentiallyConsistent) }

  func mapEnds() {
    maps.subtract(1, ordering: .sequentiallyConsistent)
    wakeWaiters()
  }

  private var isIdle: Bool {
    maps.load(ordering: .sequentiallyConsistent) == 0 && counts.withLock { $0.pending == 0 }
  }

  /// Resumes who waits, when nothing is pending.
  func wakeWaiters() {
    guard hasWaiters.load(ordering: .sequentiallyConsistent), isIdle else { return }
    let waiting = waiters.withLock { waiters in
      defer { waiters = [] }
      return waiters
    }
    for waiter in waiting { waiter.resume() }
  }

  /// Returns when nothing is pending.
  func waitUntilIdle() async {
    hasWaiters.store(true, ordering: .sequentiallyConsistent)
    await withCheckedContinuation { continuation in
      waiters.withLock { $0.append(continuation) }
      wakeWaiters()
    }
  }
}
