// The machine as a new pool sees it.

internal import CMultiprocessing
internal import Synchronization

/// Topology and CPU count, read from /sys and /proc at most once a second: reading them costs more than
/// starting a worker, and a program that makes many pools asks each time.
struct MachineView: Sendable {
  let topology: CPUTopology
  let usableCPUCount: Int

  private static let lifetime: UInt64 = 1_000_000_000
  private static let last = Mutex<(view: MachineView, affinity: CPUSet, time: UInt64)?>(nil)

  /// The calling thread's mask is asked for each time: a program may have just changed it.
  static var current: MachineView {
    let affinity = CPUAffinity.current
    let now = mproc_now_ns()
    return last.withLock { last in
      if let last, last.affinity == affinity, now - last.time < lifetime { return last.view }
      let view = MachineView(
        topology: CPUTopology.current, usableCPUCount: CPUTopology.usableCPUCount)
      last = (view, affinity, now)
      return view
    }
  }
}
