// What a pool tells of itself.

public import Glibc

extension ProcessPool {
  /// One worker of a pool, as it is now.
  public struct WorkerInfo: Sendable, Identifiable {
    public enum State: String, Sendable, Hashable { case starting, idle, busy, stopping, dead }

    /// The index, stable across replacements.
    public var id: Int
    public var processIdentifier: pid_t
    public var state: State
    /// What the placement asked for; nil: not bound.
    public var requestedCPUs: CPUSet?
    /// What the kernel gave, read back in the worker.
    public var verifiedCPUs: CPUSet?
    /// Items that this process has finished.
    public var taskCount: Int
    /// The resident set, in bytes; 0 when it is not known.
    public var residentByteCount: Int
  }

  /// The pool's ledger. At every instant submitted = succeeded + failed + cancelled + crashed + pending.
  public struct Statistics: Sendable, Hashable {
    public var submitted = 0
    public var succeeded = 0
    /// A timeout counts here.
    public var failed = 0
    public var cancelled = 0
    public var crashed = 0
    public var pending = 0
    /// Workers that were started in place of one that died.
    public var restarts = 0
    /// Attempts beyond the first, as `Configuration.retry` allows.
    public var retries = 0
  }
}
