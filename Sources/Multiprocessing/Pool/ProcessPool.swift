// A fixed number of worker processes that run bodies: the pool's life.

/// A fixed number of worker processes that run bodies.
///
///     let pool = try ProcessPool(workers: 4)
///     let squares = try await pool.map(1...1_000) { $0 * $0 }
///     await pool.drain()
///
/// A worker that dies takes down exactly the task that it ran; it is replaced and everything else completes.
/// A pool may be used from many tasks at once. Dropping it ends its workers; `drain()` and `shutdown()` also
/// wait for them.
public final class ProcessPool: Sendable {
  let core: PoolCore

  /// Starts the workers and waits until they are set up.
  ///
  /// Costs 0.2 to 0.4 ms for each worker with the fork server, 2 to 10 ms spawned, during which the calling
  /// thread is blocked.
  ///
  /// - Parameters:
  ///   - workers: At least 1; nil: `CPUTopology.usableCPUCount`.
  ///   - placement: Which CPUs each worker is bound to, before the Swift runtime starts in it, and read back.
  /// - Throws: `.invalidConfiguration` for what makes no sense, an unusable CPU included; `.startFailed`
  ///   when the kernel refuses a process or its memory.
  public init(
    workers: Int? = nil, placement: Placement = .automatic, configuration: Configuration = .init()
  ) throws(ProcessError) {
    core = try PoolCore(workers: workers, placement, configuration)
  }

  deinit {
    core.abandon()
  }

  public var workerCount: Int { core.workerCount }

  /// Each worker as it is now. Reads /proc once for each.
  public var workers: [WorkerInfo] { core.workers }

  public var statistics: Statistics { core.statistics }

  /// Starts every worker that is missing, and returns when all are ready: `Configuration.onWorkerStart` has run
  /// on each.
  ///
  /// - Throws: What has ended the pool.
  public func warmUp() async throws { try await core.warmUp() }

  /// Changes the number of workers, at least 1, and returns when the pool has that size.
  ///
  /// Workers that leave finish what they have been given. Those that stay keep their CPUs; new ones get what the
  /// placement for the new size has left, and are not bound where it has no place for so many.
  public func resize(to workers: Int) async { await core.resize(to: workers) }

  /// Finishes what was accepted, then ends the workers. Nothing is accepted from the call on.
  ///
  /// When the calling task is cancelled meanwhile, the rest is cancelled too.
  public func drain() async {
    await withTaskCancellationHandler {
      await core.finishAccepted()
      await core.endWorkers(grace: .seconds(5))
    } onCancel: {
      let core = core
      Task { await core.cancelAll(grace: .seconds(5)) }
    }
  }

  /// Cancels what runs, and ends the workers: with SIGKILL where a body has not ended within `grace`.
  public func shutdown(grace: Duration = .seconds(5)) async {
    await core.cancelAll(grace: grace)
    await core.endWorkers(grace: grace)
  }
}

/// Runs `body` with a pool. Leaving it normally drains the pool; leaving it by an error, or while the calling
/// task is cancelled, shuts it down. The body stays on the caller's actor.
///
///     let sum = try await withProcessPool { pool in
///       try await pool.map(1...100) { $0 * $0 }.reduce(0, +)
///     }
public func withProcessPool<R>(
  workers: Int? = nil, placement: Placement = .automatic,
  configuration: ProcessPool.Configuration = .init(), _ body: (ProcessPool) async throws -> R
) async throws -> R {
  let pool = try ProcessPool(workers: workers, placement: placement, configuration: configuration)
  do {
    let result = try await body(pool)
    if Task.isCancelled { await pool.shutdown() } else { await pool.drain() }
    return result
  } catch {
    await pool.shutdown()
    throw error
  }
}
