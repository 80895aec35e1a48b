// Whether the kernel, and the container around this process, let processes be held by pidfds.

internal import CMultiprocessing
internal import Glibc
internal import Synchronization

enum Pidfds {
  private static let isKnown = Atomic<Bool>(false)

  /// Every process is held by a pidfd: for one that is not our child nothing else is free of races. So where they
  /// are refused nothing is started, and the error names the call.
  static func require() throws(ProcessError) {
    if isKnown.load(ordering: .relaxed) { return }
    let own = try check(mproc_pidfd_open(getpid()), "pidfd_open, which Linux has since 5.3")
    let signaled = mproc_pidfd_signal(own, 0)
    _ = mproc_close(own)
    try check(signaled, "pidfd_send_signal, which Linux has since 5.1")
    isKnown.store(true, ordering: .relaxed)
  }
}
