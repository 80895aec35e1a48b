// What a pool tells of its workers.

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
}
