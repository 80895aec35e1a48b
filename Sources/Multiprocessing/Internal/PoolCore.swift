// A pool without its types: its workers, its ledger, what waits for a worker, and its end.

internal import CMultiprocessing
internal import Synchronization

final class PoolCore: Sendable {
  enum Phase {
    case open
    /// Finishes what was accepted.
    case draining
    case closed(ProcessError)
  }

  /// What a completion changes in the ledger.
  struct LedgerChange {
    var succeeded = 0
    var failed = 0
    var cancelled = 0
    var crashed = 0

    mutating func add(_ failure: ItemFailure) {
      switch failure {
      case .outcome(let bytes):
        if bytes.first == OutcomeTag.cancelled.rawValue { cancelled += 1 } else { failed += 1 }
      case .error: failed += 1
      case .cancelled: cancelled += 1
      case .crashed: crashed += 1
      }
    }
  }

  private struct State {
    var phase = Phase.open
    var pending: [PendingRecord] = []
    var pendingFront = 0
    var restartTimes: [UInt64] = []
    var failedStarts = 0
    var idleWaiters: [CheckedContinuation<Void, Never>] = []
    var bellToken: Reactor.Token?
  }

  /// So many deaths in a row before a worker was ready end the pool.
  private static let failedStartLimit = 3

  let configuration: ProcessPool.Configuration
  let environment: ChildEnvironment
  let bodies = PoolBodies()
  private let plan: [CPUSet]
  /// The placement takes what it can get.
  private let acceptsNarrowing: Bool
  private let reactor: Reactor
  private let bell: Int32
  private let slots: Mutex<[WorkerChannel?]>
  private let state = Mutex(State())
  private let ledger = Mutex(ProcessPool.Statistics())
  /// A moving average of an item's time in nanoseconds; 0: not known.
  private let itemTime = Atomic<Int>(0)
  private let lastMove = Atomic<UInt64>(0)
  private let timingCounter = Atomic<UInt>(0)
  private let usableCPUs: Int

  var workerCount: Int { plan.count }

  // MARK: - Life

  init(
    workers: Int?, _ placement: Placement, _ configuration: ProcessPool.Configuration
  ) throws(ProcessError) {
    let machine = MachineView.current
    usableCPUs = machine.usableCPUCount
    let count = workers ?? usableCPUs
    guard count > 0 else {
      throw .invalidConfiguration(
        "a pool of \(count) workers can run nothing; ask for 1 or more, or leave the number out")
    }
    guard configuration.startMethod != .fork else {
      throw .invalidConfiguration(
        "start method .fork is for ChildProcess.forking; a pool's workers use .forkServer or .spawn")
    }
    if case .fixed(let size) = configuration.chunkSize, size < 1 {
      throw .invalidConfiguration("a chunk of \(size) items; use .fixed(1) or more, or .automatic")
    }
    if let window = configuration.window, window < 1 {
      throw .invalidConfiguration("a window of \(window) items lets nothing run; use 1 or more")
    }
    do {
      plan = try placement.plan(workers: count, on: machine.topology)
    } catch {
      throw .invalidConfiguration("\(error)")
    }
    acceptsNarrowing = placement.acceptsNarrowing
    self.configuration = configuration
    environment = ChildEnvironment(
      configuration.processOptions.environment, defaults: Self.threadLimits(configuration))
    reactor = try Reactor.shared()
    bell = try check(mproc_eventfd(), "eventfd")
    slots = Mutex(Array(repeating: nil, count: count))
    let token = try reactor.add(bell) { [weak self] in self?.bellRang() }
    state.withLock { $0.bellToken = token }
    do {
      try startAll()
    } catch {
      close(.closed, kills: true)
      throw error
    }
  }

  deinit {
    _ = mproc_close(bell)
  }

  /// The pool's last user is gone: ends the workers, without waiting for it.
  func abandon() { close(.closed, kills: true) }

  /// What OpenMP and the common BLAS libraries read when they are loaded.
  private static func threadLimits(_ configuration: ProcessPool.Configuration) -> [String: String] {
    guard let threads = configuration.threadsPerWorker else { return [:] }
    let names = [
      "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS",
      "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS",
    ]
    return Dictionary(uniqueKeysWithValues: names.map { ($0, "\(threads)") })
  }

  // MARK: - Starting workers

  private func startAll() throws(ProcessError) {
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

  private func cpus(_ index: Int) -> CPUSet? {
    let planned = plan[index]
    return planned.isEmpty ? configuration.processOptions.affinity : planned
  }

  func startRequest(_ index: Int, _ cpus: CPUSet?) -> StartRequest {
    var options = configuration.processOptions
    options.affinity = cpus
    options.startMethod = configuration.startMethod
    options.outlivesParent = false
    var request = StartRequest(
      role: MPROC_ROLE_WORKER, name: "\(options.name ?? "mproc-worker")-\(index)", workerIndex: index,
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

  // MARK: - The end of a worker

  private func workerEnded(_ channel: WorkerChannel, _ status: ExitStatus, _ rest: [PendingRecord]) {
    let process = channel.process
    slots.withLock { slots in
      if slots[channel.index] === channel { slots[channel.index] = nil }
    }
    let report = CrashReport(
      processIdentifier: process?.pid ?? 0, workerIndex: channel.index, exitStatus: status)
    let mayRestart = state.withLock { state -> Bool in
      // Ahead of what waits: these were accepted first.
      state.pending.insert(contentsOf: rest, at: state.pendingFront)
      guard case .open = state.phase else {
        guard case .draining = state.phase else { return false }
        return state.pendingFront < state.pending.count
      }
      return true
    }
    guard mayRestart else { return endIfIdle() }
    guard allowRestart() else { return close(.restartLimitExceeded(report), kills: true) }
    ledger.withLock { $0.restarts += 1 }
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
        if isClosed { slots.withLock { $0[index] }?.process?.kill() }
        return
      } catch {
        let failures = state.withLock { state in
          state.failedStarts += 1
          return state.failedStarts
        }
        if isClosed { return }
        if failures >= Self.failedStartLimit { return close(error, kills: true) }
      }
    }
  }

  // MARK: - Submitting

  var isClosed: Bool {
    state.withLock { state in
      if case .closed = state.phase { true } else { false }
    }
  }

  /// Throws when nothing can be submitted any more.
  func checkOpen() throws(ProcessError) {
    let error = state.withLock { state -> ProcessError? in
      switch state.phase {
      case .open: nil
      case .draining: .closed
      case .closed(let error): error
      }
    }
    if let error { throw error }
  }

  /// Counts items as submitted; each must then be sent or recorded as ended.
  func recordSubmitted(_ count: Int) {
    ledger.withLock { ledger in
      ledger.submitted += count
      ledger.pending += count
    }
  }

  /// Whether nothing is pending any more; then the caller calls `endIfIdle`, with no lock held.
  func record(_ change: LedgerChange) -> Bool {
    let ended = change.succeeded + change.failed + change.cancelled + change.crashed
    guard ended != 0 else { return false }
    return ledger.withLock { ledger in
      ledger.succeeded += change.succeeded
      ledger.failed += change.failed
      ledger.cancelled += change.cancelled
      ledger.crashed += change.crashed
      ledger.pending -= ended
      return ledger.pending == 0
    }
  }

  /// The living workers, the least loaded first to be found at the front.
  func channels() -> [WorkerChannel] { slots.withLock { $0.compactMap(\.self) } }

  func channel(_ index: Int) -> WorkerChannel? { slots.withLock { $0[index] } }

  /// Sends to the first idle worker, or queues. The channel, when the caller is to spin on it.
  func submit(
    _ submission: Submission, spins: Bool, _ arguments: RecordArguments
  ) -> WorkerChannel? {
    let idle = slots.withLock { slots in
      slots.first { $0.map { $0.outstandingCount == 0 } ?? false } ?? nil
    }
    let waits = state.withLock { $0.pendingFront < $0.pending.count }
    if !waits, let idle {
      let spins = spins && maySpin(on: idle)
      if idle.submit(submission, limit: 1, spins: spins, arguments) == .sent { return spins ? idle : nil }
    }
    enqueue(PendingRecord(submission, arguments.encoded()))
    return nil
  }

  func enqueue(_ record: PendingRecord) {
    let isClosed = state.withLock { state in
      if case .closed = state.phase { return true }
      state.pending.append(record)
      return false
    }
    if isClosed { return failPending([record], .cancelled) }
    for channel in channels() where channel.outstandingCount < depth { sendPending(to: channel) }
  }

  /// How many records of single tasks a worker may have: more than one only when tasks are short, so that
  /// none waits behind a long one.
  private var depth: Int {
    let time = itemTime.load(ordering: .relaxed)
    return time > 0 && time < 50_000 ? 8 : 1
  }

  /// Gives a worker what waits, as far as it takes it.
  func sendPending(to channel: WorkerChannel) {
    while channel.outstandingCount < depth {
      guard let record = takePending() else { return }
      guard record.submission.job.wantsMore else {
        failPending([record], record.submission.job.reasonForEnd() ?? .cancelled)
        continue
      }
      let result = channel.submitPending(record, limit: depth)
      if result != .sent { return putBack(record) }
    }
  }

  private func takePending() -> PendingRecord? {
    state.withLock { state in
      guard state.pendingFront < state.pending.count else { return nil }
      let record = state.pending[state.pendingFront]
      state.pendingFront += 1
      if state.pendingFront == state.pending.count {
        state.pending.removeAll(keepingCapacity: true)
        state.pendingFront = 0
      } else if state.pendingFront > 1024, state.pendingFront > state.pending.count / 2 {
        state.pending.removeFirst(state.pendingFront)
        state.pendingFront = 0
      }
      return record
    }
  }

  private func putBack(_ record: PendingRecord) {
    let isClosed = state.withLock { state in
      if case .closed = state.phase { return true }
      state.pending.insert(record, at: state.pendingFront)
      return false
    }
    if isClosed { failPending([record], .cancelled) }
  }

  /// Ends a record that is not sent.
  func fail(_ record: PendingRecord, _ failure: ItemFailure) { failPending([record], failure) }

  private func failPending(_ records: [PendingRecord], _ failure: ItemFailure) {
    for record in records {
      let submission = record.submission
      var change = LedgerChange()
      change.add(failure)
      change.cancelled += submission.count - 1
      let isIdle = self.record(change)
      submission.job.fail(item: submission.first, failure)
      submission.job.recordsEnded(1, items: submission.count)
      submission.job.wake()
      if isIdle { endIfIdle() }
    }
  }

  // MARK: - Waiting

  /// How long a caller spins for a result before it suspends.
  var callerSpin: UInt64 {
    switch configuration.waiting {
    case .adaptive: 20_000
    case .spin: 2_000_000
    case .block: 0
    }
  }

  /// Spinning takes a CPU that a busy worker may need.
  func maySpin(on channel: WorkerChannel) -> Bool {
    guard configuration.waiting != .block, usableCPUs > 1 else { return false }
    let time = itemTime.load(ordering: .relaxed)
    guard time < Int(callerSpin) else { return false }
    return hasSpareCPU && moveAway(from: channel)
  }

  /// Whether a caller that spins takes no CPU from a busy worker.
  var hasSpareCPU: Bool {
    usableCPUs > slots.withLock { $0.count { ($0?.outstandingCount ?? 0) > 0 } }
  }

  /// Leaves the CPU of a worker that is bound to it, or was last seen on it: both would wait for each other
  /// there, while others are idle. False when the caller has to stay.
  func moveAway(from channel: WorkerChannel) -> Bool {
    guard channel.sharesCallersCPU else { return true }
    // A thread that may run nowhere else is not asked for ever.
    let now = mproc_now_ns()
    let last = lastMove.load(ordering: .relaxed)
    guard now - last > 200_000 else { return false }
    lastMove.store(now, ordering: .relaxed)
    return mproc_leave_cpu(mproc_current_cpu())
  }

  /// Whether the worker is to measure the next record: now and then, because it costs 50 ns.
  func needsTiming() -> Bool {
    timingCounter.wrappingAdd(1, ordering: .relaxed).newValue & 15 == 1
  }

  /// What a worker measured.
  func noteItemTime(_ sample: Int) {
    let old = itemTime.load(ordering: .relaxed)
    itemTime.store(old == 0 ? sample : (old * 3 + sample) / 4, ordering: .relaxed)
  }

  private func bellRang() {
    _ = mproc_eventfd_take(bell)
    for channel in channels() { channel.bellRang() }
  }

  // MARK: - Cancelling

  /// Ends what is left of a job with `reason`: at once what waits, in the workers as cancellation does.
  func end(_ job: PoolJob, _ reason: sending ItemFailure) {
    job.endWith(reason)
    let waiting = state.withLock { state -> [PendingRecord] in
      let mine = state.pending[state.pendingFront...].filter { $0.submission.job === job }
      if !mine.isEmpty {
        state.pending = state.pending[state.pendingFront...].filter { $0.submission.job !== job }
        state.pendingFront = 0
      }
      return Array(mine)
    }
    failPending(waiting, job.reasonForEnd() ?? .cancelled)
    for channel in channels() { channel.cancel(job, grace: configuration.cancellationGrace) }
  }

  // MARK: - The pool's end

  var statistics: ProcessPool.Statistics { ledger.withLock { $0 } }

  var workers: [ProcessPool.WorkerInfo] {
    let living = slots.withLock { $0 }
    return living.enumerated().map { index, channel in
      channel?.info
        ?? ProcessPool.WorkerInfo(
          id: index, processIdentifier: 0, state: isClosed ? .dead : .starting,
          requestedCPUs: cpus(index), verifiedCPUs: nil, taskCount: 0, residentByteCount: 0)
    }
  }

  func endIfIdle() {
    guard ledger.withLock({ $0.pending == 0 }) else { return }
    let waiters = state.withLock { state -> [CheckedContinuation<Void, Never>] in
      defer { state.idleWaiters = [] }
      return state.idleWaiters
    }
    for waiter in waiters { waiter.resume() }
  }

  /// Finishes what was accepted; false when the calling task was cancelled first.
  func finishAccepted() async {
    state.withLock { state in
      if case .open = state.phase { state.phase = .draining }
    }
    await withCheckedContinuation { continuation in
      let isIdle = state.withLock { state -> Bool in
        if case .closed = state.phase { return true }
        if ledger.withLock({ $0.pending == 0 }) { return true }
        state.idleWaiters.append(continuation)
        return false
      }
      if isIdle { continuation.resume() }
    }
  }

  /// Ends the workers, which have nothing to do any more; SIGKILL to one that does not leave.
  func endWorkers(grace: Duration) async {
    let channels = channels()
    close(.closed, kills: false)
    for channel in channels { channel.stop() }
    for channel in channels {
      guard let process = channel.process else { continue }
      // Not cancelled with the caller: the workers must be gone when this returns.
      let ended = await Task { await process.exitStatus(within: grace) }.value
      if ended == nil {
        process.kill()
        _ = await Task { await process.exitStatus(within: nil) }.value
      }
    }
    close(.closed, kills: true)
  }

  /// Cancels what runs and waits for it, then ends the workers.
  func cancelAll(grace: Duration) async {
    let waiting = closeForShutdown()
    failPending(waiting, .cancelled)
    for channel in channels() { channel.cancelAll(grace: grace) }
    await withCheckedContinuation { continuation in
      let isIdle = state.withLock { state -> Bool in
        if ledger.withLock({ $0.pending == 0 }) { return true }
        state.idleWaiters.append(continuation)
        return false
      }
      if isIdle { continuation.resume() }
    }
  }

  private func closeForShutdown() -> [PendingRecord] {
    state.withLock { state in
      if case .closed = state.phase {} else { state.phase = .closed(.closed) }
      defer {
        state.pending = []
        state.pendingFront = 0
      }
      return Array(state.pending[state.pendingFront...])
    }
  }

  /// Nothing is accepted from now on; what waits fails with `error`.
  private func close(_ error: ProcessError, kills: Bool) {
    let (waiting, token) = state.withLock { state -> ([PendingRecord], Reactor.Token?) in
      if case .closed = state.phase {} else { state.phase = .closed(error) }
      let waiting = Array(state.pending[state.pendingFront...])
      state.pending = []
      state.pendingFront = 0
      let token = kills ? state.bellToken : nil
      if kills { state.bellToken = nil }
      return (waiting, token)
    }
    failPending(waiting, .error(error))
    guard kills else { return }
    if let token { reactor.remove(token, bell) }
    for channel in channels() { channel.process?.kill() }
  }
}

/// Runs `body` on a thread of its own; false when there is none to be had.
func runOnThread(_ body: @escaping @Sendable () -> Void) -> Bool {
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
