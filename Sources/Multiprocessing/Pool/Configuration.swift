// How a pool behaves.

public import Logging

extension ProcessPool {
  /// How a pool behaves. All fields have defaults:
  ///
  ///     let pool = try ProcessPool(configuration: .init { $0.startMethod = .spawn })
  public struct Configuration: Sendable {
    /// Where bodies run.
    public enum Execution: Sendable, Hashable {
      case processes
      /// One after the other in this process, for the debugger. There are no worker processes then: a crash
      /// ends the application, a deadline ends only a body that looks at `Task.isCancelled`.
      case inProcess
    }

    /// How many items of a `map` travel in one record.
    public enum ChunkSize: Sendable, Hashable {
      /// Adapts to the measured time of an item and shrinks towards the end.
      case automatic
      case fixed(Int)
    }

    /// How the application and its workers wait for each other.
    public enum Waiting: String, Sendable, Hashable, CaseIterable {
      /// Spins for some tens of microseconds, then sleeps.
      case adaptive
      /// Spins for milliseconds, then sleeps.
      case spin
      /// Sleeps at once.
      case block
    }

    /// How often workers may die before the pool gives up.
    public struct RestartLimit: Sendable, Hashable {
      public var count: Int
      public var interval: Duration

      public init(_ count: Int, per interval: Duration) {
        self.count = count
        self.interval = interval
      }
    }

    public var execution: Execution = .processes
    public var startMethod: StartMethod = .forkServer
    public var chunkSize: ChunkSize = .automatic
    /// How many items of a `map` may be in flight; nil: chosen from the worker count.
    public var window: Int?
    /// The deadline of each task that names none: of `run` and `submit` from the call on, of an item of a
    /// `map` or a stream from its beginning on. With it the items of a `map` travel one by one.
    ///
    /// Time during which the application is stopped, as by a debugger, does not count, to half a second.
    public var taskTimeout: Duration?
    /// Whether a task that failed is tried again, on any worker.
    public var retry: Retry = .never
    /// Items after which a worker is replaced; nil: never. A `map` puts no more than these into a record.
    public var maxTasksPerWorker: Int?
    /// Resident bytes beyond which a worker is replaced, after what it has been given; nil: no limit. Looked at
    /// when a task ends, at most once a millisecond.
    public var workerMemoryLimit: Int?
    /// Runs on each worker before its first task; what it throws ends the pool, and everything that was submitted
    /// fails with that error. Cf. `WorkerState`.
    public var onWorkerStart: WorkerBody?
    /// With a timeout workers start when there is something to do, and end when they have had nothing to do for
    /// so long. nil: all start with the pool and stay.
    public var idleTimeout: Duration?
    public var restartLimit = RestartLimit(1_000, per: .seconds(1))
    /// Runs once in the fork server, on its main thread, before any worker exists, and again when the server
    /// was started again.
    ///
    /// The workers are copies of that process: they find what it has made in globals and `static let`s, and
    /// share its memory until one of them writes to it. The body is synchronous and must leave no thread
    /// behind; where it does, or with `.spawn`, each worker runs it itself, before anything else. Pools with
    /// equal environments (the variables of `threadsPerWorker` are part of them) and equal preload bodies,
    /// arguments included, share a server. What the body throws,
    /// or how it ends its process, is thrown by `ProcessPool.init`.
    public var preload: WorkerBody?
    public var waiting: Waiting = .adaptive
    /// Sets OMP_NUM_THREADS, OPENBLAS_NUM_THREADS, MKL_NUM_THREADS and their like in the workers, each where the
    /// environment does not. nil: the CPUs of the narrowest mask when all workers are bound, else not set.
    public var threadsPerWorker: Int?
    /// How each worker starts. Its affinity is the placement's, its start method `startMethod`.
    public var processOptions = ProcessOptions()
    /// How long a cancelled body may go on before its process gets SIGTERM, and after that SIGKILL; nil
    /// waits for ever.
    public var cancellationGrace: Duration? = .seconds(5)

    /// Who is told how far each map and stream is.
    public var progress: ProgressReporting = .none
    /// Hears what happens to the workers: starts and retirements at level debug, crashes and what was ended by
    /// force as warnings, the end of the pool by its own fault as an error; with the worker's index and process
    /// identifier as metadata. Called on threads of Swift's pool, one entry after the other, and no longer once
    /// `drain()` or `shutdown()` has returned. nil: nobody.
    public var logger: Logger?
    /// A file for a timeline in the Trace Event Format, which Perfetto (ui.perfetto.dev) and chrome://tracing
    /// open: a row for each worker, with every record of items that it ran. nil: none.
    ///
    /// The file is emptied when the pool is made and written as the pool works; after each write it is complete,
    /// so what the application's own death leaves can be opened, too. Times are microseconds of the monotonic
    /// clock. A pool that is traced takes some 100 ns more for each record.
    public var trace: FilePath?
    /// Whether what workers print comes out line by line, each line behind the worker's name, as in
    /// "mproc-worker-0: text", and lines of several workers never mixed.
    ///
    /// The name is that of `processOptions` with the worker's index; streams that `processOptions` sends elsewhere
    /// stay there. A line is shown when it has ended, or its process has; one longer than 1 MiB in pieces. Nothing
    /// says when, but for the application's normal exit, before which all of it is shown that is read within
    /// 2 seconds: a line may come after the result of the body that printed it. Standard output is a pipe for the workers then, also where the
    /// application has a terminal. Without this, workers write to the application's streams by themselves.
    public var forwardsOutput = false

    public init() {}

    public init(_ configure: (inout Configuration) throws -> Void) rethrows {
      self.init()
      try configure(&self)
    }
  }
}
