// What is told of a pool's workers, to the logger and in the timeline.

internal import CMultiprocessing
internal import Logging
internal import Synchronization

extension WorkerChannel {
  /// Why a worker was told to end.
  enum StopReason: String {
    case taskLimit = "maxTasksPerWorker"
    case memoryLimit = "workerMemoryLimit"
    case idleness = "idleTimeout"
    case resizing = "the pool was made smaller"
    case draining = "the pool was drained"
  }

  private func log(
    _ level: Logger.Level, _ message: Logger.Message,
    _ more: @escaping @Sendable @autoclosure () -> Logger.Metadata = [:]
  ) {
    guard let log = pool.log else { return }
    let (index, pid) = (index, process?.pid ?? 0)
    log.note(
      level, message, more().merging(["worker": "\(index)", "pid": "\(pid)"]) { old, _ in old })
  }

  // MARK: - Life

  func noteStart(_ process: ManagedProcess) {
    log(.debug, "worker started", ["startMethod": "\(process.startMethod.rawValue)"])
    traceInstant("start")
    pool.noteStartMethod(process.startMethod)
  }

  func noteReady() {
    traceStartUp()
    if pool.log == nil { return }
    let startUp = activity(until: mproc_now_ns()).startUpTime
    log(.debug, "worker ready", ["startUp": "\(startUp)"])
  }

  func noteEnd(_ status: ExitStatus) {
    if let reason = stopReason {
      log(.debug, "worker retired", ["reason": "\(reason.rawValue)"])
      traceInstant("retirement", reason: reason.rawValue)
    } else if pool.queue.isClosed {
      log(.debug, "worker ended with its pool", ["reason": "\(status)"])
    } else {
      log(.warning, "worker crashed", ["reason": "\(status)"])
      traceInstant("crash", reason: "\(status)")
    }
  }

  func noteReplacement() { log(.debug, "worker is replaced") }

  // MARK: - Force

  /// SIGTERM, and SIGKILL after the grace period, for a task that does not end.
  func terminate(_ process: ManagedProcess, grace: Duration) {
    log(.warning, "a cancelled task goes on: its worker gets SIGTERM")
    if pool.log != nil {
      // Runs before the timer that sends the signal, which is made later.
      pool.reactor.schedule(after: grace) { [weak self] in
        if process.status == nil { self?.noteKill() }
      }
    }
    process.terminate(grace: grace)
  }

  func noteKill() { log(.warning, "the worker goes on: it gets SIGKILL") }
}

extension PoolCore {
  /// Workers are not started as they were to be: told once for each pool.
  func noteStartMethod(_ method: StartMethod) {
    guard let log, configuration.startMethod == .forkServer, method != .forkServer,
      !hasToldOfSpawning.exchange(true, ordering: .relaxed)
    else { return }
    let cause =
      Pidfds.areRefused
      ? "the kernel, or this container's profile, refuses pidfds"
      : "the program's libraries start threads, so it has no fork server"
    log.note(.notice, "workers are spawned: \(cause)", ["startMethod": "\(method.rawValue)"])
  }

  func noteFailedStart(of index: Int, _ error: any Error) {
    log?.note(
      .warning, "worker could not be started", ["worker": "\(index)", "reason": "\(error)"])
  }

  /// The deadline of a task has passed.
  func noteDeadline(_ reason: ItemFailure) {
    guard let log, case .error(ProcessError.timedOut(let limit)) = reason else { return }
    log.note(.info, "a task is ended: its deadline has passed", ["timeout": "\(limit)"])
  }

  /// The pool comes to its end by itself.
  func noteFailure(_ error: any Error) {
    guard let log, !queue.isClosed else { return }
    if case ProcessError.closed = error { return }
    log.note(.error, "the pool has ended", ["reason": "\(error)"])
  }
}

extension PoolLog {
  func noteBrokenTrace(_ path: String, _ reason: String) {
    note(.warning, "the trace cannot be written", ["path": "\(path)", "reason": "\(reason)"])
  }
}
