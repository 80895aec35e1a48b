// A pool without its types: what it consists of, its beginning and its end.

internal import CMultiprocessing
internal import Synchronization

final class PoolCore: Sendable {
  struct State {
    var restartTimes: [UInt64] = []
    /// In a row, since a worker was ready.
    var failedStarts = 0
    var crashedStarts = 0
    /// In a row, without a task that ended meanwhile, and how many had ended at the last.
    var endsBeforeService = 0
    var endedTasks = 0
    var bellToken: Reactor.Token?
    /// Counts what happens to workers; who waits for the next such thing.
    var changes: UInt64 = 0
    var changeWaiters: [CheckedContinuation<Void, Never>] = []
  }

  let configuration: ProcessPool.Configuration
  let environment: ChildEnvironment
  let preload: Preload?
  let bodies: PoolBodies
  let queue = PoolQueue()
  let ledger = PoolLedger()
  let placement: Placement
  /// The placement takes what it can get.
  let acceptsNarrowing: Bool
  let usableCPUs: Int
  /// The machine when the pool was made.
  let topology: CPUTopology
  let slots: Mutex<WorkerSlots>
  /// In serial mode.
  let inProcess: InProcessRunner?
  /// What runs on each worker first.
  let startBody: (body: PoolBody, arguments: EncodedArguments)?
  let state = Mutex(State())
  let log: PoolLog?
  let trace: PoolTrace?
  let hasToldOfSpawning = Atomic<Bool>(false)
  let bell: Int32
  let reactor: Reactor
  /// A moving average of an item's time in nanoseconds; 0: not known.
  let itemTime = Atomic<Int>(0)
  let lastMove = Atomic<UInt64>(0)
  let timingCounter = Atomic<UInt>(0)

  init(
    workers: Int?, _ placement: Placement, _ configuration: ProcessPool.Configuration
  ) throws(ProcessError) {
    let machine = MachineView.current
    usableCPUs = min(machine.usableCPUCount, CurrentProcess.cpuBudget)
    topology = machine.topology
    let count = workers ?? usableCPUs
    try Self.check(configuration, workers: count)
    var configuration = configuration
    configuration.processOptions.memoryPolicy =
      try MemoryBinding.checked(configuration.processOptions.memoryPolicy)
    let plan: [CPUSet]
    do {
      plan = try placement.plan(workers: count, on: machine.topology)
    } catch {
      throw .invalidConfiguration("\(error)")
    }
    slots = Mutex(WorkerSlots(plan))
    let log = PoolLog(configuration.logger)
    self.log = log
    trace = try configuration.trace.map { path throws(ProcessError) in
      try PoolTrace(path, name: configuration.processOptions.name ?? "pool") { error in
        log?.noteBrokenTrace("\(path)", "\(error)")
      }
    }
    bodies = PoolBodies(labelled: trace != nil)
    self.placement = placement
    acceptsNarrowing = placement.acceptsNarrowing
    startBody = try Self.startBody(configuration, bodies)
    self.configuration = configuration
    inProcess = configuration.execution == .inProcess ? InProcessRunner() : nil
    environment = ChildEnvironment(
      configuration.processOptions.environment,
      defaults: Self.threadLimits(configuration.threadsPerWorker ?? Self.narrowest(plan)))
    preload = if let body = configuration.preload { try Preload(body) } else { nil }
    reactor = try Reactor.shared()
    bell = try Multiprocessing.check(mproc_eventfd(), "eventfd")
    let token = try reactor.add(bell) { [weak self] in self?.bellRang() }
    state.withLock { $0.bellToken = token }
    if inProcess != nil { return }
    watchIdleness()
    if isOnDemand { return }
    do {
      try startAll()
    } catch {
      close(ProcessError.closed, kills: true)
      throw error
    }
  }

  deinit {
    _ = mproc_close(bell)
  }

  private static func startBody(
    _ configuration: ProcessPool.Configuration, _ bodies: PoolBodies
  ) throws(ProcessError) -> (body: PoolBody, arguments: EncodedArguments)? {
    guard let start = try configuration.onWorkerStart?.prepared() else { return nil }
    do {
      return (try bodies.body(for: start.reference), start.arguments)
    } catch {
      throw error as? ProcessError ?? .invalidConfiguration("onWorkerStart: \(error)")
    }
  }

  private static func check(
    _ configuration: ProcessPool.Configuration, workers: Int
  ) throws(ProcessError) {
    guard workers > 0 else {
      throw .invalidConfiguration(
        "a pool of \(workers) workers can run nothing; ask for 1 or more, or leave the number out")
    }
    guard configuration.startMethod != .fork else {
      throw .invalidConfiguration(
        "start method .fork is for ChildProcess.forking; a pool's workers use .forkServer or .spawn"
      )
    }
    guard configuration.processOptions.standardOutput != .capture else {
      throw .invalidConfiguration(
        "nobody could read what a pool's workers write to a captured standard output; use .inherit or"
          + " .discard")
    }
    if case .fixed(let size) = configuration.chunkSize, size < 1 {
      throw .invalidConfiguration("a chunk of \(size) items; use .fixed(1) or more, or .automatic")
    }
    if let problem = configuration.retry.problem { throw .invalidConfiguration(problem) }
    if let tasks = configuration.maxTasksPerWorker, tasks < 1 {
      throw .invalidConfiguration(
        "maxTasksPerWorker: \(tasks) lets nothing run; use 1 or more, or nil")
    }
    if let bytes = configuration.workerMemoryLimit, bytes < 1 {
      throw .invalidConfiguration(
        "workerMemoryLimit: \(bytes) bytes; use a positive number, or nil")
    }
    if let timeout = configuration.idleTimeout, timeout < .zero {
      throw .invalidConfiguration("idleTimeout: \(timeout) is negative; use .zero or more, or nil")
    }
    if let window = configuration.window, window < 1 {
      throw .invalidConfiguration("a window of \(window) items lets nothing run; use 1 or more")
    }
  }

  /// How many CPUs every worker has, where all are bound.
  private static func narrowest(_ plan: [CPUSet]) -> Int? {
    plan.map(\.count).min().flatMap { $0 > 0 ? $0 : nil }
  }

  /// What OpenMP and the common BLAS libraries read when they are loaded. A fork server loads them before it
  /// forks, so they count the CPUs that the application has, not those of the worker.
  private static func threadLimits(_ threads: Int?) -> [String: String] {
    guard let threads else { return [:] }
    let names = [
      "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS",
      "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS",
    ]
    return Dictionary(uniqueKeysWithValues: names.map { ($0, "\(threads)") })
  }
}

// MARK: - The end

extension PoolCore {
  /// The pool's last user is gone: ends the workers, without waiting for it.
  func abandon() { close(ProcessError.closed, kills: true) }

  /// Accepts nothing more, and returns when what was accepted has ended.
  func finishAccepted() async {
    queue.startDraining()
    if !queue.isClosed { await ledger.waitUntilIdle() }
  }

  /// Ends the workers, which have nothing to do any more; SIGKILL to one that does not leave.
  func endWorkers(grace: Duration) async {
    let channels = channels()
    close(ProcessError.closed, kills: false)
    for channel in channels { channel.stop(.draining) }
    for channel in channels {
      guard let process = channel.process else { continue }
      // Not cancelled with the caller: the workers must be gone when this returns.
      let ended = await Task { await process.exitStatus(within: grace) }.value
      if ended == nil {
        channel.noteKill()
        process.kill()
        _ = await Task { await process.exitStatus(within: nil) }.value
      }
    }
    close(ProcessError.closed, kills: true)
    trace?.finish()
    await log?.flush()
  }

  /// Cancels what runs and waits for it.
  func cancelAll(grace: Duration) async {
    fail(queue.close(ProcessError.closed), .cancelled)
    for channel in channels() { channel.cancelAll(grace: grace) }
    inProcess?.cancel(nil)
    await ledger.waitUntilIdle()
  }

  /// Nothing is accepted from now on; what waits fails with `error`.
  func close(_ error: any Error, kills: Bool) {
    noteFailure(error)
    fail(queue.close(error), .error(error))
    guard kills else { return }
    let token = state.withLock { state in
      defer { state.bellToken = nil }
      return state.bellToken
    }
    if let token { reactor.remove(token, bell) }
    for channel in channels() { channel.process?.kill() }
    noteChange()
  }
}
