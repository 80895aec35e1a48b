// The workers of a pool: looking at them, and starting them.

internal import CMultiprocessing
internal import Glibc
internal import Synchronization

extension PoolCore {
  /// So many crashes in a row of `Configuration.onWorkerStart`, or before it, end the pool.
  static let crashedStartLimit = 3

  // MARK: - Looking

  /// The workers that there are, those that leave included.
  func channels() -> [WorkerChannel] { slots.withLock { $0.channels } }

  func channel(_ index: Int) -> WorkerChannel? { slots.withLock { $0.channel(index) } }

  var workerCount: Int { slots.withLock { $0.wanted } }

  var workers: [ProcessPool.WorkerInfo] {
    let isClosed = queue.isClosed
    return slots.withLock { $0.wantedSlots }.enumerated().map { index, slot in
      slot.channel?.info ?? inProcessInfo(index)
        ?? ProcessPool.WorkerInfo(
          id: index, processIdentifier: 0,
          state: isClosed || !slot.isStarting ? .dead : .starting,
          requestedCPUs: requested(slot.cpus), verifiedCPUs: nil, taskCount: 0,
          residentByteCount: 0)
    }
  }

  var statistics: ProcessPool.Statistics {
    var statistics = ledger.statistics
    if let inProcess {
      statistics.workers = [inProcess.activity]
      return statistics
    }
    // One instant for both: a worker that ends is among the living or the past, not in neither.
    var (workers, living) = slots.withLock { ($0.past, $0.channels) }
    let now = mproc_now_ns()
    for channel in living {
      while workers.count <= channel.index { workers.append(.init(id: workers.count)) }
      workers[channel.index].add(channel.activity(until: now))
    }
    statistics.workers = workers
    return statistics
  }

  private func inProcessInfo(_ index: Int) -> ProcessPool.WorkerInfo? {
    if inProcess == nil { return nil }
    return ProcessPool.WorkerInfo(
      id: index, processIdentifier: getpid(), state: .idle, requestedCPUs: nil, verifiedCPUs: nil,
      taskCount: 0, residentByteCount: max(0, Int(mproc_resident_bytes(getpid()))))
  }

  private func requested(_ planned: CPUSet) -> CPUSet? {
    planned.isEmpty ? configuration.processOptions.affinity : planned
  }

  // MARK: - Starting

  /// All at once: they set themselves up at the same time.
  func startAll() throws(ProcessError) {
    var launched: [WorkerChannel.Launched] = []
    for index in slots.withLock({ $0.claimEmpty(.max) }) {
      do {
        launched.append(try launch(index))
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

  /// Starts up to `limit` of the workers that are missing, without waiting for them.
  func startMissing(_ limit: Int = .max) {
    if inProcess != nil { return }
    for index in slots.withLock({ $0.claimEmpty(limit) }) {
      // Starting waits for the new process: not on the caller's thread, nor on the reactor's.
      let started = runOnThread("mproc-starter") { [self] in start(index) }
      if !started { start(index) }
    }
  }

  /// Starts a worker for a place that was claimed, or tries again later.
  private func start(_ index: Int) {
    do {
      if slots.withLock({ $0.isStillWanted(index) }) { return try adopt(try launch(index)) }
    } catch {
      slots.withLock { $0.giveUpStarting(index) }
      if !queue.isClosed {
        noteFailedStart(of: index, error)
        startFailed(error)
      }
    }
    noteChange()
  }

  /// What the kernel refuses now it may grant in a moment. A pool without any worker gives up after a second.
  private func startFailed(_ error: ProcessError) {
    let failures = state.withLock { state in
      state.failedStarts += 1
      return state.failedStarts
    }
    if failures > 7, slots.withLock({ $0.channels.isEmpty }) { return close(error, kills: true) }
    slots.withLock { $0.isHeldBack = true }
    reactor.schedule(after: .milliseconds(10 << min(failures - 1, 7))) { [weak self] in
      guard let self else { return }
      slots.withLock { $0.isHeldBack = false }
      if queue.needsWorkers { startMissing(isOnDemand ? 1 : .max) }
    }
  }

  private func launch(_ index: Int) throws(ProcessError) -> WorkerChannel.Launched {
    try WorkerChannel.launch(index, requested(slots.withLock { $0.cpus(index) }), self)
  }

  func workerName(_ index: Int) -> String {
    "\(configuration.processOptions.name ?? "mproc-worker")-\(index)"
  }

  func startRequest(_ index: Int, _ cpus: CPUSet?) -> StartRequest {
    var options = configuration.processOptions
    options.affinity = cpus
    options.startMethod = configuration.startMethod
    options.outlivesParent = false
    var request = StartRequest(
      role: MPROC_ROLE_WORKER, name: workerName(index), workerIndex: index, options: options)
    request.ignoresInterrupt = true
    request.acceptsNarrowing = acceptsNarrowing
    request.bell = bell
    request.preload = preload
    let count = workerCount
    let parameters = WorkerParameters(
      spinNanoseconds: workerSpin(count), cpuBudget: UInt64(max(1, usableCPUs / count)))
    request.payload = unsafe withUnsafeBytes(of: parameters) { unsafe [UInt8]($0) }
    return request
  }

  private func workerSpin(_ count: Int) -> UInt64 {
    // More processes that spin than CPUs would keep each other from running.
    switch configuration.waiting {
    case .adaptive: count <= usableCPUs ? 20_000 : 0
    case .spin: 2_000_000
    case .block: 0
    }
  }

  /// Waits until the worker is set up, checks its CPUs, and puts it to work.
  private func adopt(_ launched: WorkerChannel.Launched) throws(ProcessError) {
    let channel = launched.channel
    let process = try launched.process.finish { channel.crashReport($0) }
    channel.attach(process)
    slots.withLock { $0.put(channel) }
    channel.noteStart(process)
    do {
      unsafe try process.listen(
        ManagedProcess.Listener(
          message: { _, descriptor in if let descriptor { _ = mproc_close(descriptor) } },
          ended: { [self] status in
            let report = channel.crashReport(status)
            workerEnded(channel, report, channel.processEnded(report))
          }))
    } catch {
      let activity = channel.activity(until: mproc_now_ns())
      slots.withLock { $0.remove(channel, activity) }
      throw error
    }
    if let startBody {
      begin(channel, startBody)
    } else {
      becameReady(channel)
    }
    // The pool may have been closed, or made smaller, meanwhile.
    if queue.isClosed { process.kill() }
    if channel.index >= workerCount { channel.stop(.resizing) }
  }

  // MARK: - The body that comes first

  private func begin(
    _ channel: WorkerChannel, _ start: (body: PoolBody, arguments: EncodedArguments)
  ) {
    let job = StartJob(start.body) { [self, weak channel] failure in
      if let channel { startBodyEnded(channel, failure) }
    }
    let submission = Submission(
      job: job, first: 0, count: 1, isTimed: false,
      extras: RecordExtras.make(start.arguments.descriptors))
    ledger.recordSubmitted(1)
    let record = PendingRecord(submission, start.arguments)
    switch channel.submitFirst(record) {
    case .sent: break
    case .dead: fail([record], .cancelled)  // Another worker comes in its place.
    case .full, .impossible:
      fail([record], .error(ProcessError.noSharedMemory(record.arguments.byteCount)))
    }
  }

  private func startBodyEnded(_ channel: WorkerChannel, _ failure: ItemFailure?) {
    ledger.retract(failure)
    switch failure {
    case nil: becameReady(channel)
    case .crashed(let report)?:
      // The worker's end is about to be noticed, and another one started.
      let crashes = state.withLock { state in
        state.crashedStarts += 1
        return state.crashedStarts
      }
      if crashes >= Self.crashedStartLimit { close(ProcessError.crashed(report), kills: true) }
    case .cancelled?: break
    case let failure?: close(failure.error, kills: true)
    }
  }

  private func becameReady(_ channel: WorkerChannel) {
    state.withLock { state in
      state.failedStarts = 0
      state.crashedStarts = 0
    }
    channel.becomeReady()
    channel.noteReady()
    mproc_fence_full()  // As in sendPendingToAll: one of the two sees the other.
    sendPending(to: channel)
    noteChange()
  }
}
