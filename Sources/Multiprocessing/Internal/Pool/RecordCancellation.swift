// How a worker learns that the record it runs, or one that it will run, has been cancelled.

internal import Synchronization

/// Which record runs, and whether the application wants it ended. The hot path is one exchange and one store.
final class RecordCancellation: Sendable {
  private let current = Atomic<UInt64>(0)
  private let hasRequests = Atomic<Bool>(false)
  private let state = Mutex<(requests: Set<UInt64>, task: Task<Void, Never>?)>(([], nil))

  /// Whether anything was ever cancelled since the last quiet moment.
  var isRequested: Bool { hasRequests.load(ordering: .relaxed) }

  func set(_ task: Task<Void, Never>) { state.withLock { $0.task = task } }

  /// Between two tasks: what was asked of the last one is done.
  func reset() {
    state.withLock { state in
      state.task = nil
      hasRequests.store(!state.requests.isEmpty, ordering: .sequentiallyConsistent)
    }
  }

  /// False when the record must not run, because it was cancelled before.
  func begin(_ number: UInt64) -> Bool {
    current.store(number, ordering: .sequentiallyConsistent)
    guard hasRequests.load(ordering: .sequentiallyConsistent) else { return true }
    return state.withLock { state in
      let isCancelled = state.requests.remove(number) != nil
      state.requests = state.requests.filter { $0 > number }
      return !isCancelled
    }
  }

  func end() {
    current.store(0, ordering: .sequentiallyConsistent)
    // A canceller that saw this record running finishes before the next one starts.
    if hasRequests.load(ordering: .sequentiallyConsistent) { state.withLock { _ in } }
  }

  /// On the control thread.
  func cancel(_ number: UInt64) {
    state.withLock { state in
      // Before `current` is read: this sees the record begin, or `begin` sees this. With the lock held: a `reset`
      // in between would take it back, and the next record would not see its own cancellation, or see this one.
      hasRequests.store(true, ordering: .sequentiallyConsistent)
      if current.load(ordering: .sequentiallyConsistent) == number {
        state.task?.cancel()
      } else {
        state.requests.insert(number)
      }
    }
  }
}
