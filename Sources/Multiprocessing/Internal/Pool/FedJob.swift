// What all jobs of many items share: how much of it is under way, and a caller who feeds it and waits for news.

internal import Synchronization

/// A job whose items its caller submits little by little.
class FedJob: PoolJob, @unchecked Sendable {  // `flow` and atomics hold all that changes.
  private struct Flow {
    /// The first failure by time.
    var failure: ItemFailure?
    var recordsInFlight = 0
    var itemsInFlight = 0
    var waiter: CheckedContinuation<Void, Never>?
    /// Records that ended since the caller last looked.
    var news = 0
    /// Items that have ended, and those of them without a value.
    var completed = 0
    var failed = 0
  }

  private let flow = Guarded(Flow())
  /// A moving average in nanoseconds; 0: not known.
  private let averageTime = Atomic<Int>(0)
  /// Set before the first item is submitted, and used by the caller's task alone; nil: nobody is told.
  final var progress: ProgressReporter?

  // MARK: - The caller's side

  final var hasFailed: Bool { flow.withLock { $0.failure != nil } }
  final var isIdle: Bool { flow.withLock { $0.recordsInFlight == 0 } }
  /// Items that have ended, and those of them without a value.
  final var counts: (completed: Int, failed: Int) { flow.withLock { ($0.completed, $0.failed) } }

  /// Nanoseconds that an item took of late; nil: not known.
  final var itemTime: Int? {
    let time = averageTime.load(ordering: .relaxed)
    return time == 0 ? nil : time
  }

  /// The first failure by time, if there was one.
  final var failure: ItemFailure? { flow.withLock { $0.failure } }

  /// Nothing more is to be submitted.
  var isComplete: Bool { isEnded || hasFailed }

  /// Whether a failure ends also what comes before it in the input.
  var endsAtFailure: Bool { true }

  /// Whether the caller has something to take before all is done.
  var hasDeliveries: Bool { false }

  /// How many more records of `chunk` items may be under way.
  func freeRecords(chunk: Int, window: Int?, workers: Int) -> Int {
    guard let window else { return Int.max }
    return (window - itemsAhead) / chunk
  }

  /// Items that have been pulled from the input and are not the caller's yet.
  var itemsAhead: Int { flow.withLock { $0.itemsInFlight } }

  final var recordsInFlight: Int { flow.withLock { $0.recordsInFlight } }

  /// Before items `first..<first + count` are submitted in so many records.
  func willSubmit(first: Int, count: Int, records: Int) {
    flow.withLock { flow in
      flow.recordsInFlight += records
      flow.itemsInFlight += count
    }
  }

  /// Returns when a record has ended since the last call, or none is in flight; with `forInput` only when
  /// there is news.
  final func waitForNews(forInput: Bool = false) async {
    await withCheckedContinuation { continuation in
      let isThere = flow.withLock { flow in
        if flow.news > 0 || flow.recordsInFlight == 0 && !forInput {
          flow.news = 0
          return true
        }
        flow.waiter = continuation
        return false
      }
      if isThere { continuation.resume() }
    }
  }

  /// There is something for the caller to look at, and it is woken.
  final func poke() {
    flow.withLock { $0.news += 1 }
    wake()
  }

  // MARK: - The channels' side

  override var reportsIndex: Bool { true }

  override func wants(_ first: Int) -> Bool { !isEnded && !hasFailed }

  override func noteItemTime(_ sample: Int) -> Bool {
    let old = averageTime.load(ordering: .relaxed)
    averageTime.store(old == 0 ? sample : (old + sample) / 2, ordering: .relaxed)
    return true
  }

  override func fail(first: Int, count: Int, _ failure: ItemFailure) {
    flow.withLock { flow in
      if flow.failure == nil { flow.failure = failure }
      flow.failed += count
    }
  }

  override func recordsEnded(_ records: Int, items: Int) {
    flow.withLock { flow in
      flow.recordsInFlight -= records
      flow.itemsInFlight -= items
      flow.completed += items
      flow.news += max(1, records)
    }
  }

  override func wake() {
    let waiter = flow.withLock { flow -> CheckedContinuation<Void, Never>? in
      guard let waiter = flow.waiter else { return nil }
      flow.waiter = nil
      flow.news = 0
      return waiter
    }
    waiter?.resume()
  }
}
