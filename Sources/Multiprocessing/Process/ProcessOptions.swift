// How a process starts.

/// How a process comes to life.
public enum StartMethod: String, Sendable, CaseIterable {
  /// A small copy of the program, stopped before its `main`, forks the process: 0.1 to 0.3 ms whatever
  /// the application's size. The default. Where there can be no such copy, because the program's libraries start
  /// threads or the container refuses pidfds, as `spawn`.
  case forkServer
  /// A copy of the program is executed: 1 to 5 ms.
  case spawn
  /// The application itself is copied. Only for `ChildProcess.forking`.
  case fork
}

/// Where a child's standard output or error goes.
public enum OutputDestination: Sendable, Hashable {
  /// Where the application's goes.
  ///
  /// Standard error passes through the application, which keeps the last 8 KiB for a ``CrashReport``: always
  /// that of a pool's workers; that of a `ChildProcess` unless the application's own is a terminal, which the
  /// child then shares, or the child outlives the application. What passes through is written by a thread of
  /// its own, so it may come after the result of the body that wrote it. While nobody reads the
  /// application's standard error, processes that write there wait, and nothing else does.
  case inherit
  case discard
  /// To `ChildProcess.standardOutput` or `.standardError`.
  ///
  /// In a pool nobody could read it: a standard error is then kept for reports alone, a standard output is
  /// refused.
  case capture
}

/// How a process starts; the defaults inherit.
///
/// A process inherits what the application has when it starts the process, whatever the start method: the
/// environment, the folder, the limits, the streams, and the niceness and the CPUs of the calling thread. From
/// a fork server it has the file mode mask (umask) that the application had when the server started, with its
/// first child. All signals have their default, and none is blocked; standard input is empty; each process
/// leads a process group of its own.
public struct ProcessOptions: Sendable {
  /// Also the kernel's thread name (comm), which keeps the first 15 bytes.
  public var name: String?
  public var startMethod: StartMethod
  /// Applied before the Swift runtime starts in the child, and read back.
  public var affinity: CPUSet?
  /// NUMA policy, applied with the affinity.
  public var memoryPolicy: MemoryPolicy?
  /// The whole environment of the child; nil: the application's.
  public var environment: [String: String]?
  public var workingDirectory: FilePath?
  public var standardOutput: OutputDestination
  public var standardError: OutputDestination
  public var resourceLimits: [ResourceLimit]
  /// -20 (most CPU time) to 19; nil: the application's.
  public var niceness: Int32?
  /// False: the process dies with the application, whatever ends the application.
  public var outlivesParent: Bool

  public init(
    name: String? = nil, startMethod: StartMethod = .forkServer, affinity: CPUSet? = nil,
    memoryPolicy: MemoryPolicy? = nil, environment: [String: String]? = nil,
    workingDirectory: FilePath? = nil, standardOutput: OutputDestination = .inherit,
    standardError: OutputDestination = .inherit, resourceLimits: [ResourceLimit] = [],
    niceness: Int32? = nil, outlivesParent: Bool = false
  ) {
    self.name = name
    self.startMethod = startMethod
    self.affinity = affinity
    self.memoryPolicy = memoryPolicy
    self.environment = environment
    self.workingDirectory = workingDirectory
    self.standardOutput = standardOutput
    self.standardError = standardError
    self.resourceLimits = resourceLimits
    self.niceness = niceness
    self.outlivesParent = outlivesParent
  }
}
