// Where a worker's time and bytes go. Bytes are counted under the lock that is held anyway, times read from the
// word that the worker keeps.

internal import CMultiprocessing
internal import Synchronization

extension WorkerChannel {
  /// Bytes that went through the channel; fields as in `ProcessPool.Statistics.Worker`.
  struct Traffic {
    var arguments = 0
    var results = 0
    var large = 0
    var shared = 0
  }

  /// What this process has done until `now`, or until it ended when that is now.
  func activity(until now: UInt64) -> ProcessPool.Statistics.Worker {
    lock.withLock { _ in
      let ready = state.readyAt == 0 ? now : min(state.readyAt, now)
      // The worker's word: no more than there was.
      let total = waitedTime(now)
      let waited = min(total - min(state.waitedBefore, total), now - ready)
      var activity = ProcessPool.Statistics.Worker(id: index)
      activity.processCount = 1
      activity.taskCount = state.finished
      activity.startUpTime = .nanoseconds(ready - min(launchedAt, ready))
      activity.waitingTime = .nanoseconds(waited)
      activity.workingTime = .nanoseconds(now - ready - waited)
      activity.argumentByteCount = state.traffic.arguments
      activity.resultByteCount = state.traffic.results
      activity.largeByteCount = state.traffic.large
      activity.sharedByteCount = state.traffic.shared
      return activity
    }
  }

  /// With the lock held: what it waited and ran before counts as its start.
  func setReadyTime() {
    let now = mproc_now_ns()
    state.readyAt = now
    state.finished = 0
    state.waitedBefore = waitedTime(now)
  }

  private func waitedTime(_ now: UInt64) -> UInt64 {
    unsafe mproc_channel_peer_waited(channel, now)
  }
}
