// Workers that end: by a death, because they have done their share, because nothing is to do, because fewer are
// wanted. Others come in their place where there is one.

internal import CMultiprocessing
internal import Synchronization

extension PoolCore {
  /// On the reactor's thread.
  func workerEnded(_ channel: WorkerChannel, _ report: CrashReport, _ rest: [PendingRecord]) {
    let activity = channel.activity(until: mproc_now_ns())
    slots.withLock { $0.remove(channel, activity) }
    channel.noteEnd(report.exitStatus)
    noteChange()
    takeOver(rest, from: channel.index)
    guard queue.needsWorkers, channel.index < workerCount else { return ledger.wakeWaiters() }
    if channel.wasStopped {
      if !isOnDemand || !queue.isEmpty { startMissing() }
      return
    }
    if isHopeless(channel, report) { return close(ProcessError.crashed(report), kills: true) }
    guard allowRestart() else {
      return close(ProcessError.restartLimitExceeded(report), kills: true)
    }
    ledger.recordRestart()
    channel.noteReplacement()
    startMissing()
  }

  /// What a worker had not begun goes to the others; to its successor what was meant for this place.
  private func takeOver(_ records: [PendingRecord], from index: Int) {
    if records.isEmpty { return }
    let free = records.filter { !$0.submission.job.isBound }
    for record in records where record.submission.job.isBound {
      Task { await submit(record, toWorker: index) }
    }
    if !free.isEmpty { putBack(free) }
    sendPendingToAll()
  }

  /// Whether so many in a row ended by themselves before they could take a task: the next ones would, too, and the
  /// tasks wait for ever.
  private func isHopeless(_ channel: WorkerChannel, _ report: CrashReport) -> Bool {
    let isKilled = report.exitStatus == .signaled(.kill, coreDumped: false)
    if channel.hasServed || isKilled { return false }
    let statistics = ledger.statistics
    let ended = statistics.submitted - statistics.pending
    return state.withLock { state in
      if ended != state.endedTasks { state.endsBeforeService = 0 }
      state.endedTasks = ended
      state.endsBeforeService += 1
      return state.endsBeforeService >= Self.crashedStartLimit
    }
  }

  private func allowRestart() -> Bool {
    let limit = configuration.restartLimit
    let now = mproc_now_ns()
    return state.withLock { state in
      state.restartTimes.append(now)
      let start = now - min(now, limit.interval.nanoseconds)
      state.restartTimes.removeAll { $0 < start }
      return state.restartTimes.count <= limit.count
    }
  }

  // MARK: - The number of workers

  /// Workers start when there is something to do, and end when there is nothing.
  var isOnDemand: Bool { configuration.idleTimeout != nil && inProcess == nil }

  /// Starts what is missing, and returns when every worker is ready.
  ///
  /// With an idle timeout a worker that was ready may have ended again meanwhile.
  func warmUp() async throws {
    var seenReady: Set<Int> = []
    while inProcess == nil {
      let seen = state.withLock { $0.changes }
      try queue.checkOpen()
      let (ready, count) = slots.withLock { ($0.readyIndices, $0.wanted) }
      seenReady.formUnion(ready)
      if (0..<count).allSatisfy(seenReady.contains) { return }
      startMissing()
      try await waitForChange(since: seen)
    }
  }

  /// Returns when the pool has that size, the workers that leave have ended, and new ones are ready.
  func resize(to count: Int) async {
    precondition(count > 0, "a pool of \(count) workers can run nothing; resize it to 1 or more")
    let placement = placement
    // Where the placement has no place for so many, the new ones are not bound.
    let plan =
      (try? placement.plan(workers: count, on: MachineView.current.topology))
      ?? Array(repeating: [], count: count)
    let leaving = slots.withLock { $0.resize(plan) }
    for channel in leaving { channel.stop(.resizing) }
    if !isOnDemand { try? await warmUp() }
    for channel in leaving { _ = await channel.process?.exitStatus(within: nil) }
  }

  /// Ends workers that have had nothing to do for long; called again as long as there are any.
  func watchIdleness() {
    guard let limit = configuration.idleTimeout else { return }
    let tick = max(.milliseconds(1), min(limit / 4, .seconds(1)))
    reactor.schedule(after: tick) { [weak self] in
      guard let self, !queue.isClosed else { return }
      let now = mproc_now_ns()
      for channel in channels() where channel.isIdle(since: limit.nanoseconds, now) {
        channel.stop(.idleness)
      }
      watchIdleness()
    }
  }

  // MARK: - News

  /// Something about the workers has changed.
  func noteChange() {
    let waiters = state.withLock { state in
      state.changes += 1
      defer { state.changeWaiters = [] }
      return state.changeWaiters
    }
    for waiter in waiters { waiter.resume() }
  }

  private func waitForChange(since seen: UInt64) async throws {
    try Task.checkCancellation()
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isThere = state.withLock { state in
          if state.changes == seen { state.changeWaiters.append(continuation) }
          return state.changes != seen
        }
        if isThere { continuation.resume() }
      }
    } onCancel: {
      noteChange()
    }
  }
}
