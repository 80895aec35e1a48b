// What code can ask about the process it runs in.

internal import CMultiprocessing
public import Glibc

/// What code can ask about the process it runs in.
public enum CurrentProcess {
  struct Identity: Sendable {
    var isChild = false
    var name = ""
    var workerIndex: Int?
    var parent: pid_t?
    /// How many workers a pool made here has, where it is not told.
    var cpuBudget = Int.max
    /// The socket whose other end the parent holds.
    var control: Int32 = -1
  }

  /// Written once, before a child runs anything of the user's, by the only thread that runs Swift then. Not
  /// behind a lock: a forked copy writes it too, and its parent's threads may have held the lock.
  nonisolated(unsafe) private static var identity = Identity()

  static func become(_ new: Identity) {
    unsafe identity = new
  }

  /// This worker's share of the CPUs that it and its siblings may use. Set once, as the identity is.
  static var cpuBudget: Int {
    get { unsafe identity.cpuBudget }
    set { unsafe identity.cpuBudget = newValue }
  }

  /// The control socket of a child; -1 in the application.
  static var control: Int32 { unsafe identity.control }

  /// Whether this is a worker of a pool or a child process.
  public static var isWorker: Bool { unsafe identity.isChild }

  /// The name it was started with; in the application, the program's.
  public static var name: String {
    let name = unsafe identity.name
    return name.isEmpty ? unsafe String(cString: mproc_program_name()) : name
  }

  /// The index of this worker in its pool, from 0; nil outside a pool.
  public static var workerIndex: Int? { unsafe identity.workerIndex }

  /// The process that started this one: the application, not its fork server. nil outside a worker or
  /// child.
  public static var parentProcessIdentifier: pid_t? { unsafe identity.parent }

  /// The CPUs that the calling thread may run on now, read from the kernel.
  public static var affinity: CPUSet { CPUAffinity.current }

  /// Returns when the parent has ended: of a worker or child the application that started it, of the
  /// application whoever started that.
  ///
  /// It is of use with `ProcessOptions.outlivesParent`: any other child ends with its parent. Returns early
  /// when the waiting task is cancelled. Holds no thread while it waits.
  public static func parentExited() async {
    await ParentWatch.shared.wait()
  }
}
