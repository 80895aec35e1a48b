// What happens to a pool's workers, told to the logger of its configuration.
//
// A log handler is code of the user's: it runs on Swift's thread pool, with no lock of ours held, and never on the
// reactor's thread. What is to be logged waits in a queue of its own.

internal import Logging
internal import Synchronization

final class PoolLog: Sendable {
  private struct Entry {
    var level: Logger.Level
    var message: Logger.Message
    /// Errors may be described by code of the user's, too.
    var metadata: @Sendable () -> Logger.Metadata
  }

  private struct State {
    var entries: [Entry] = []
    var isWriting = false
    /// Who waits until all has been written.
    var waiters: [CheckedContinuation<Void, Never>] = []
  }

  private let logger: Logger
  private let state = Mutex(State())

  /// nil without a logger.
  init?(_ logger: Logger?) {
    guard let logger else { return nil }
    self.logger = logger
  }

  /// Returns at once.
  func note(
    _ level: Logger.Level, _ message: Logger.Message,
    _ metadata: @escaping @Sendable @autoclosure () -> Logger.Metadata
  ) {
    let starts = state.withLock { state in
      state.entries.append(Entry(level: level, message: message, metadata: metadata))
      defer { state.isWriting = true }
      return !state.isWriting
    }
    if starts { Task.detached { self.write() } }
  }

  /// Returns when everything noted so far has been logged.
  func flush() async {
    await withCheckedContinuation { continuation in
      let isDone = state.withLock { state in
        if state.isWriting { state.waiters.append(continuation) }
        return !state.isWriting
      }
      if isDone { continuation.resume() }
    }
  }

  private func write() {
    while true {
      let (entries, waiters) = state.withLock { state in
        let taken = (state.entries, state.entries.isEmpty ? state.waiters : [])
        if state.entries.isEmpty {
          state.isWriting = false
          state.waiters = []
        }
        state.entries = []
        return taken
      }
      for waiter in waiters { waiter.resume() }
      if entries.isEmpty { return }
      for entry in entries {
        logger.log(
          level: entry.level, entry.message, metadata: entry.metadata(), source: "Multiprocessing")
      }
    }
  }
}
