// What waits for a worker, and whether a pool still takes anything.

internal import Synchronization

final class PoolQueue: Sendable {
  enum Phase {
    case open
    /// Finishes what was accepted.
    case draining
    case closed(any Error)
  }

  private struct State {
    var phase = Phase.open
    var records: [PendingRecord] = []
    /// The first of `records` that waits.
    var front = 0
    /// What is to be tried again later, by tokens.
    var delayed: [UInt64: PendingRecord] = [:]
    var lastToken: UInt64 = 0

    var waiting: ArraySlice<PendingRecord> { records[front...] }

    mutating func removeAll() {
      records.removeAll(keepingCapacity: true)
      front = 0
    }
  }

  private let state = Guarded(State())
  /// For looking without the lock.
  private let count = Atomic<Int>(0)
  private let isOpen = Atomic<Bool>(true)

  var isEmpty: Bool { waitingCount == 0 }
  var waitingCount: Int { count.load(ordering: .relaxed) }

  var isClosed: Bool {
    state.withLock { state in
      if case .closed = state.phase { true } else { false }
    }
  }

  /// Throws when nothing can be submitted any more.
  func checkOpen() throws {
    if !isOpen.load(ordering: .acquiring) { throw reason }
  }

  /// Why nothing is accepted any more.
  var reason: any Error {
    state.withLock { state in
      if case .closed(let error) = state.phase { error } else { ProcessError.closed }
    }
  }

  /// The end of acceptance; what waits is still to be done.
  func startDraining() {
    state.withLock { state in
      if case .open = state.phase { state.phase = .draining }
    }
    isOpen.store(false, ordering: .releasing)
  }

  /// Nothing is accepted from now on; what waited is the caller's to fail. The first reason counts.
  func close(_ error: any Error) -> [PendingRecord] {
    isOpen.store(false, ordering: .releasing)
    return change { state in
      if case .closed = state.phase {} else { state.phase = .closed(error) }
      defer {
        state.removeAll()
        state.delayed = [:]
      }
      return Array(state.waiting) + state.delayed.values
    }
  }

  /// False when the pool is closed.
  func append(_ record: PendingRecord) -> Bool {
    change { state in
      if case .closed = state.phase { return false }
      state.records.append(record)
      return true
    }
  }

  /// Ahead of what waits: these were accepted first. False when the pool is closed.
  func putBack(_ records: [PendingRecord]) -> Bool {
    change { state in
      if case .closed = state.phase { return false }
      state.records.insert(contentsOf: records, at: state.front)
      return true
    }
  }

  /// Keeps a record that is to wait for some time; nil when the pool is closed.
  func delay(_ record: PendingRecord) -> UInt64? {
    state.withLock { state in
      if case .closed = state.phase { return nil }
      state.lastToken += 1
      state.delayed[state.lastToken] = record
      return state.lastToken
    }
  }

  /// The end of that time; nil when the record has been ended meanwhile.
  func takeDelayed(_ token: UInt64) -> PendingRecord? {
    state.withLock { $0.delayed.removeValue(forKey: token) }
  }

  func takeFirst() -> PendingRecord? {
    if isEmpty { return nil }
    return change { state in
      guard let record = state.waiting.first else { return nil }
      state.front += 1
      if state.front == state.records.count {
        state.removeAll()
      } else if state.front > 1024, state.front > state.records.count / 2 {
        state.records.removeFirst(state.front)
        state.front = 0
      }
      return record
    }
  }

  /// Takes out what waits of one job.
  func remove(_ job: PoolJob) -> [PendingRecord] {
    change { state in
      let waiting = state.waiting
      let removed = waiting.filter { $0.submission.job === job }
      if !removed.isEmpty {
        state.records = waiting.filter { $0.submission.job !== job }
        state.front = 0
      }
      let delayed = state.delayed.filter { $0.value.submission.job === job }
      for token in delayed.keys { state.delayed[token] = nil }
      return Array(removed) + delayed.values
    }
  }

  /// Whether a worker that ended is to be replaced.
  var needsWorkers: Bool {
    state.withLock { state in
      switch state.phase {
      case .open: true
      case .draining: !state.waiting.isEmpty || !state.delayed.isEmpty
      case .closed: false
      }
    }
  }

  private func change<R>(_ body: (inout State) -> R) -> R {
    state.withLock { state in
      defer { count.store(state.records.count - state.front, ordering: .relaxed) }
      return body(&state)
    }
  }
}
