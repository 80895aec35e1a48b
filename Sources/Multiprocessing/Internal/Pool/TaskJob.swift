// A submitted task: one item that any number of callers may wait for, or none.

internal import Synchronization

final class TaskJob: RunJob, @unchecked Sendable {  // A mutex guards all that changes.
  typealias Handler = @Sendable () -> Void

  private struct Waiters {
    var lastToken: UInt64 = 0
    var handlers: [UInt64: Handler] = [:]
  }

  private let waiters = Mutex(Waiters())

  override var kind: String { "submit" }

  override func wake() {
    super.wake()
    guard isDone else { return }
    let handlers = waiters.withLock { waiters in
      defer { waiters.handlers = [:] }
      return waiters.handlers
    }
    for handler in handlers.values { handler() }
  }

  /// Calls `handler` once the task has ended, at once if it has; nil then.
  @discardableResult
  func whenDone(_ handler: @escaping Handler) -> UInt64? {
    let token = waiters.withLock { waiters -> UInt64? in
      if isDone { return nil }
      waiters.lastToken += 1
      waiters.handlers[waiters.lastToken] = handler
      return waiters.lastToken
    }
    if token == nil { handler() }
    return token
  }

  /// False when the handler has been called, or is about to be.
  func forget(_ token: UInt64) -> Bool {
    waiters.withLock { $0.handlers.removeValue(forKey: token) != nil }
  }

  /// Returns true when the task has ended; false when `limit` passed or the waiting task was cancelled first.
  func waitUntilDone(within limit: Duration?) async -> Bool {
    if isDone { return true }
    let wait = BoundedWait()
    let token = whenDone { wait.end(true) }
    let reactor = limit == nil ? nil : try? Reactor.shared()
    let timer = limit.flatMap { limit in reactor?.schedule(after: limit) { wait.end(false) } }
    let isDone = await withTaskCancellationHandler {
      await wait.result()
    } onCancel: {
      wait.end(false)
    }
    if let timer { reactor?.cancel(timer) }
    if let token { _ = forget(token) }
    return isDone
  }
}

/// A wait that several things may end; the first one counts.
private final class BoundedWait: Sendable {
  private struct State {
    var result: Bool?
    var continuation: CheckedContinuation<Bool, Never>?
  }

  private let state = Mutex(State())

  func end(_ result: Bool) {
    let continuation = state.withLock { state -> CheckedContinuation<Bool, Never>? in
      guard state.result == nil else { return nil }
      state.result = result
      defer { state.continuation = nil }
      return state.continuation
    }
    continuation?.resume(returning: result)
  }

  func result() async -> Bool {
    await withCheckedContinuation { continuation in
      let result = state.withLock { state -> Bool? in
        if state.result == nil { state.continuation = continuation }
        return state.result
      }
      if let result { continuation.resume(returning: result) }
    }
  }
}
