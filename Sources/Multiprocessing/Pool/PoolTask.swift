// A submitted task, Python's `Future`.

internal import Synchronization

/// A task that was submitted to a pool: Python's `concurrent.futures.Future`.
///
/// Dropping it does not cancel it. It keeps its pool alive until it has ended.
public final class PoolTask<Output: Sendable>: Sendable, Identifiable {
  public enum State: String, Sendable, Hashable {
    case pending, running, succeeded, failed, cancelled
  }

  /// The job, or why there is none.
  private let job: Result<TaskJob, any Error>
  private let decode: @Sendable (inout ByteReader) throws -> Output
  /// Decoded once, so that every caller gets the same value.
  private let outcome = Guarded<Result<Output, any Error>?>(nil)
  private let pool: Mutex<ProcessPool?>

  init(
    _ pool: ProcessPool, _ decode: @escaping @Sendable (inout ByteReader) throws -> Output,
    _ start: () throws -> TaskJob
  ) {
    self.decode = decode
    job = Result(catching: start)
    self.pool = Mutex(pool)
    whenDone { [weak self] in self?.pool.withLock { $0 = nil } }
  }

  public var state: State {
    guard case .success(let job) = job else { return .failed }
    guard job.isDone else {
      let core = pool.withLock { $0?.core }
      return core?.isRunning(job) == true ? .running : .pending
    }
    switch job.failure {
    case nil: return .succeeded
    case is CancellationError: return .cancelled
    default: return .failed
    }
  }

  /// Waits for the result, or throws as `ProcessPool.run` does. Cancelling the waiting Swift task ends only the
  /// waiting, with `CancellationError`; see `cancel()`.
  public var value: Output {
    get async throws { try await ended(within: nil).get() }
  }

  /// As `value`, with the error in its place.
  public var result: Result<Output, any Error> {
    get async {
      do { return try await ended(within: nil) } catch { return .failure(error) }
    }
  }

  /// Waits only: throws `.timedOut` and leaves the task running.
  public func value(within limit: Duration) async throws -> Output {
    try await ended(within: limit).get()
  }

  /// Ends the work as cancelling a task that awaits `ProcessPool.run` does; one that has not begun never runs.
  public func cancel() {
    guard case .success(let job) = job else { return }
    pool.withLock { $0?.core }?.end(job, .cancelled)
  }

  /// Throws when the waiting was ended.
  private func ended(within limit: Duration?) async throws -> Result<Output, any Error> {
    let job: TaskJob
    switch self.job {
    case .success(let started): job = started
    case .failure(let error): return .failure(error)
    }
    guard await job.waitUntilDone(within: limit) else {
      try Task.checkCancellation()
      throw ProcessError.timedOut(limit ?? .zero)
    }
    return outcome.withLock { outcome in
      if let outcome { return outcome }
      let decoded = Result { try job.result(decode) }
      outcome = decoded
      return decoded
    }
  }

  fileprivate func whenDone(_ handler: @escaping @Sendable () -> Void) {
    switch job {
    case .success(let job): job.whenDone(handler)
    case .failure: handler()
    }
  }
}

// MARK: - as_completed

extension PoolTask {
  /// Each task once, when it has ended: Python's `as_completed`.
  public static func asCompleted(_ tasks: some Sequence<PoolTask>) -> AsCompleted {
    AsCompleted(tasks: Array(tasks))
  }

  /// Tasks in the order in which they end. Ends early, without an error, when the iterating task is cancelled.
  public struct AsCompleted: AsyncSequence, Sendable {
    public typealias Element = PoolTask
    public typealias Failure = Never

    fileprivate let tasks: [PoolTask]

    public func makeAsyncIterator() -> AsyncIterator {
      AsyncIterator(order: CompletionOrder(tasks))
    }

    public struct AsyncIterator: AsyncIteratorProtocol {
      fileprivate let order: CompletionOrder<PoolTask>

      public mutating func next(isolation actor: isolated (any Actor)?) async -> PoolTask? {
        await order.next()
      }
    }
  }
}

/// What has ended and has not been taken.
private final class CompletionOrder<Task: AnyObject & Sendable>: Sendable {
  private struct State {
    var ended: [Task] = []
    var front = 0
    var left: Int
    var waiter: CheckedContinuation<Task?, Never>?
  }

  private let state: Mutex<State>

  init<Output>(_ tasks: [Task]) where Task == PoolTask<Output> {
    state = Mutex(State(left: tasks.count))
    for task in tasks { task.whenDone { [weak self] in self?.add(task) } }
  }

  private func add(_ task: Task) {
    let waiter = state.withLock { state -> CheckedContinuation<Task?, Never>? in
      guard let waiter = state.waiter else {
        state.ended.append(task)
        return nil
      }
      state.waiter = nil
      state.left -= 1
      return waiter
    }
    waiter?.resume(returning: task)
  }

  func next() async -> Task? {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let immediate = state.withLock { state -> (Task?)? in
          if state.left == 0 || _Concurrency.Task.isCancelled { return .some(nil) }
          guard state.front < state.ended.count else {
            state.waiter = continuation
            return nil
          }
          defer { state.front += 1 }
          state.left -= 1
          return state.ended[state.front]
        }
        if let immediate { continuation.resume(returning: immediate) }
      }
    } onCancel: {
      let waiter = state.withLock { state in
        defer { state.waiter = nil }
        return state.waiter
      }
      waiter?.resume(returning: nil)
    }
  }
}
