// Deadlines of single items of a map or a stream: a timer for each worker looks at the record that it runs.

internal import CMultiprocessing
internal import Synchronization

extension WorkerChannel {
  var timeoutFailure: ItemFailure {
    .error(ProcessError.timedOut(pool.configuration.taskTimeout ?? .zero))
  }

  /// Another record has become the first, which is the one that runs. With the lock held.
  func noteNewFront() {
    guard let limit = pool.configuration.taskTimeout else { return }
    state.frontSince = pool.reactor.runningTime
    if !state.isWatched { watch(for: limit) }
  }

  private func watch(for delay: Duration) {
    state.isWatched = true
    pool.reactor.schedule(after: delay) { [weak self] in self?.checkDeadline() }
  }

  private func checkDeadline() {
    guard let limit = pool.configuration.taskTimeout else { return }
    let overdue = lock.withLock { _ -> (UInt64, ManagedProcess)? in
      state.isWatched = false
      // A single run has a timer of its own.
      guard !state.outstanding.isEmpty, state.outstanding.first.submission.job is FedJob,
        !state.outstanding.first.isTimedOut
      else { return nil }
      let elapsed = pool.reactor.runningTime - state.frontSince
      guard elapsed >= limit.nanoseconds else {
        watch(for: .nanoseconds(limit.nanoseconds - elapsed))
        return nil
      }
      state.outstanding.first.isTimedOut = true
      return state.process.map { (state.outstanding.first.number, $0) }
    }
    guard let (number, process) = overdue else { return }
    pool.noteDeadline(timeoutFailure)
    end([number], process, grace: pool.configuration.cancellationGrace)
  }
}
