// The workers of a pool: starting them, and starting others in the place of those that have ended.

internal import CMultiprocessing
internal import Synchronization

extension PoolCore {
  /// So many deaths in a row before a worker was ready end the pool.
  private static let failedStartLimit = 3

  // MARK: - Looking

  /// The living workers, by index.
  func channels() -> [WorkerChannel] { slots.withLock { $0.compactMap(\.self) } }

  func channel(_ index: Int) -> WorkerChannel? { slots.withLock { $0[index] } }

  var workers: [ProcessPool.WorkerInfo] {
    let living = slots.withLock { $0 }
    return living.enumerated().map { index, channel in
      channel?.info
        ?? ProcessPool.WorkerInfo(
          id: index, processIdentifier: 0, state: queue.isClosed ? .dead : .starting,
          requestedCPUs: cpus(index), verifiedCPUs: nil, taskCount: 0, residentByteCount: 0)
    }
  }

  private func cpus(_ index: Int) -> CPUSet? {
    let planned = plan[index]
    return planned.isEmpty ? configuration.processOptions.affinity : planned
  }

  // MARK: - Starting

  /// All at once: they set themselves up at the same time.
  func startAll() throws(ProcessError) {
    var launched: [WorkerChannel.Launched] = []
    for index in 0..<workerCount {
      do {
        launched.append(try WorkerChannel.launch(index, cpus(index), self))
      } catch {
        for worker in launched { worker.process.abandon() }
        throw error
      }
    }
    var failure: ProcessError?
    for worker in launched {
      do {
        try adopt(worker)
      } catch {
        failure = failure ?? error
      }
    }
    if let failure { throw failure }
  }

  func startRequest(_ index: Int, _ cpus: CPUSet?) -> StartRequest {
    var options = configuration.processOptions
    options.affinity = cpus
    options.startMethod = configuration.startMethod
    options.outlivesParent = false
    var request = StartRequest(
      role: MPROC_ROLE_WORKER, name: "\(options.name ?? "mproc-worker")-\(index)",
      workerIndex: index,
      options: options)
    request.ignoresInterrupt = true
    request.acceptsNarrowing = acceptsNarrowing
    request.bell = bell
    let parameters = WorkerParameters(spinNanoseconds: workerSpin)
    request.payload = unsafe withUnsafeBytes(of: parameters) { unsafe [UInt8]($0) }
    return request
  }

  private var workerSpin: UInt64 {
    // More processes that spin than CPUs would keep each other from running.
    switch configuration.waiting {
    case .adaptive: workerCount <= usableCPUs ? 20_000 : 0
    case .spin: 2_000_000
    case .block: 0
    }
  }

  /// Waits until the worker is set up, checks its CPUs, and puts it to work.
  private func adopt(_ launched: WorkerChannel.Launched) throws(ProcessError) {
    let process = try launched.process.finish()
    let channel = launched.channel
    channel.attach(process)
    slots.withLock { $0[channel.index] = channel }
    unsafe try process.listen(
      ManagedProcess.Listener(
        message: { _, descriptor in if let descriptor { _ = mproc_close(descriptor) } },
        ended: { [self] status in
          workerEnded(channel, status, channel.processEnded(status))
        }))
    sendPending(to: channel)
  }

  // MARK: - Replacing

  private func workerEnded(_ channel: WorkerChannel, _ status: ExitStatus, _ rest: [PendingRecord])
  {
    slots.withLock { slots in
      if slots[channel.index] === channel { slots[channel.index] = nil }
    }
    if !rest.isEmpty, !queue.putBack(rest) { fail(rest, .error(queue.reason)) }
    guard queue.needsWorkers else { return ledger.wakeWaiters() }
    guard allowRestart() else {
      let report = CrashReport(
        processIdentifier: channel.process?.pid ?? 0, workerIndex: channel.index, exitStatus: status
      )
      return close(.restartLimitExceeded(report), kills: true)
    }
    ledger.recordRestart()
    // Starting waits for the new process: not on the reactor's thread.
    let started = runOnThread { [self] in restart(channel.index) }
    if !started { restart(channel.index) }
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

  private func restart(_ index: Int) {
    while true {
      do {
        try adopt(try WorkerChannel.launch(index, cpus(index), self))
        state.withLock { $0.failedStarts = 0 }
        // The pool may have been closed meanwhile.
        if queue.isClosed { channel(index)?.process?.kill() }
        return
      } catch {
        let failures = state.withLock { state in
          state.failedStarts += 1
          return state.failedStarts
        }
        if queue.isClosed { return }
        if failures >= Self.failedStartLimit { return close(error, kills: true) }
      }
    }
  }
}

/// Runs `body` on a thread of its own; false when there is none to be had.
private func runOnThread(_ body: @escaping @Sendable () -> Void) -> Bool {
  final class Box: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  let box = unsafe Unmanaged.passRetained(Box(body))
  let result = unsafe mproc_thread_start(
    "mproc-starter",
    { context in
      guard let context = unsafe context else { return nil }
      unsafe Unmanaged<Box>.fromOpaque(context).takeRetainedValue().body()
      return nil
    }, box.toOpaque())
  if result < 0 { unsafe box.release() }
  return result >= 0
}
