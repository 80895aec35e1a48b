// The end of a worker that nothing is wrong with: it stops after what it has been sent.

internal import CMultiprocessing
internal import Synchronization

extension WorkerChannel {
  /// From now on it takes tasks.
  func becomeReady() {
    lock.withLock { _ in
      guard state.phase == .starting else { return }
      state.phase = .serving
      setReadyTime()
      state.idleSince = state.readyAt
      live.store(!state.isRefusing, ordering: .relaxed)
    }
  }

  /// Whether it was told to end: then its end is no crash.
  var wasStopped: Bool { stopReason != nil }

  var stopReason: StopReason? { lock.withLock { _ in state.stopReason } }

  /// Tells the worker to end after what it has; nothing can be submitted from then on.
  func stop(_ reason: StopReason) { lock.withLock { _ in stopLocked(reason) } }

  func stopLocked(_ reason: StopReason) {
    guard state.phase == .serving || state.phase == .starting else { return }
    state.phase = .stopping
    state.stopReason = reason
    live.store(false, ordering: .relaxed)
    guard let payload = unsafe mproc_ring_reserve(channel, 8) else {
      // There is no room behind what it has: told when there is.
      state.owesStop = true
      return
    }
    unsafe sendStop(payload)
  }

  private func sendStop(_ payload: UnsafeMutableRawPointer) {
    unsafe payload.storeBytes(of: 0, as: UInt64.self)
    unsafe mproc_ring_commit(channel, 8, SubmissionKind.stop)
    publish()
  }

  /// With a record's place freed.
  func payStop() {
    guard state.owesStop, let payload = unsafe mproc_ring_reserve(channel, 8) else { return }
    state.owesStop = false
    unsafe sendStop(payload)
  }

  /// Whether it has had nothing to do for so long.
  func isIdle(since limit: UInt64, _ now: UInt64) -> Bool {
    guard isLive, outstandingCount == 0 else { return false }
    return lock.withLock { _ in
      state.phase == .serving && state.outstanding.isEmpty && now > state.idleSince
        && now - state.idleSince >= limit
    }
  }

  /// Whether so many more items are within `Configuration.maxTasksPerWorker`. When they are not, the worker has
  /// done its share.
  func takesItems(_ count: Int) -> Bool {
    guard let limit = pool.configuration.maxTasksPerWorker else { return true }
    guard state.sentItems == 0 || state.sentItems + count <= limit else {
      stopLocked(.taskLimit)
      return false
    }
    return true
  }

  /// After items were sent.
  func countItems(_ count: Int) {
    guard let limit = pool.configuration.maxTasksPerWorker else { return }
    state.sentItems += count
    if state.sentItems >= limit { stopLocked(.taskLimit) }
  }

  /// Ends a worker that has grown too large; looks at most once a millisecond. Without the lock.
  func checkMemory() {
    guard let limit = pool.configuration.workerMemoryLimit, isLive else { return }
    let now = mproc_now_ns()
    let last = lastMemoryCheck.load(ordering: .relaxed)
    guard now - last > 1_000_000 else { return }
    lastMemoryCheck.store(now, ordering: .relaxed)
    if let pid = process?.pid, Int(mproc_resident_bytes(pid)) > limit { stop(.memoryLimit) }
  }
}
