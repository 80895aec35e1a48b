// What code can ask about the process it runs in.

internal import CMultiprocessing
public import Glibc
internal import Synchronization

/// What code can ask about the process it runs in.
public enum CurrentProcess {
  struct Identity: Sendable {
    var isChild = false
    var name = ""
    var workerIndex: Int?
    var parent: pid_t?
    /// How many workers a pool made here has, where it is not told.
    var cpuBudget = Int.max
  }

  private static let identity = Mutex(Identity())

  static func become(_ new: Identity) {
    identity.withLock { $0 = new }
  }

  /// This worker's share of the CPUs that it and its siblings may use.
  static var cpuBudget: Int {
    get { identity.withLock { $0.cpuBudget } }
    set { identity.withLock { $0.cpuBudget = newValue } }
  }

  /// Whether this is a worker of a pool or a child process.
  public static var isWorker: Bool { identity.withLock { $0.isChild } }

  /// The name it was started with; in the application, the program's.
  public static var name: String {
    let name = identity.withLock { $0.name }
    return name.isEmpty ? unsafe String(cString: mproc_program_name()) : name
  }

  /// The index of this worker in its pool, from 0; nil outside a pool.
  public static var workerIndex: Int? { identity.withLock { $0.workerIndex } }

  /// The process that started this one: the application, not its fork server. nil outside a worker or
  /// child.
  public static var parentProcessIdentifier: pid_t? { identity.withLock { $0.parent } }

  /// The CPUs that the calling thread may run on now, read from the kernel.
  public static var affinity: CPUSet { CPUAffinity.current }
}
