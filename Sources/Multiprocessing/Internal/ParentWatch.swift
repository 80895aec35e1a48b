// Waiting for the end of the process that started this one.

internal import CMultiprocessing
internal import Glibc
internal import Synchronization

/// The parent, and who waits for it.
final class ParentWatch: Sendable {
  static let shared = ParentWatch()

  private struct State {
    var isWatching = false
    var hasEnded = false
    var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
    var lastWaiter: UInt64 = 0
  }

  private let parent = CurrentProcess.parentProcessIdentifier ?? getppid()
  private let state = Mutex(State())

  /// Returns when the parent has ended, or the waiting task is cancelled.
  func wait() async {
    watch()
    let id = state.withLock { state -> UInt64 in
      state.lastWaiter += 1
      return state.lastWaiter
    }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isDone = state.withLock { state in
          if state.hasEnded || Task.isCancelled { return true }
          state.waiters[id] = continuation
          return false
        }
        if isDone { continuation.resume() }
      }
    } onCancel: {
      let waiter = state.withLock { $0.waiters.removeValue(forKey: id) }
      waiter?.resume()
    }
  }

  private func watch() {
    let isFirst = state.withLock { state in
      defer { state.isWatching = true }
      return !state.isWatching
    }
    if isFirst { open() }
  }

  private func open() {
    let pidfd = mproc_parent_open(parent, CurrentProcess.control)
    if pidfd == -ESRCH { return end() }
    guard let reactor = try? Reactor.shared() else { return }
    let box = TokenBox()
    let token =
      pidfd < 0
      ? nil
      : try? reactor.add(pidfd) { [self] in
        reactor.remove(box.token.withLock { $0 }, pidfd)
        _ = mproc_close(pidfd)
        end()
      }
    if let token {
      box.token.withLock { $0 = token }
    } else {
      // No descriptor to be had: later there may be. Where pidfds are refused there is none, and this looks again
      // and again.
      if pidfd >= 0 { _ = mproc_close(pidfd) }
      reactor.schedule(after: .milliseconds(100)) { [self] in open() }
    }
  }

  private func end() {
    let waiters = state.withLock { state in
      state.hasEnded = true
      defer { state.waiters = [:] }
      return state.waiters.values
    }
    for waiter in waiters { waiter.resume() }
  }
}
