// Whether the kernel, and the container around this process, let processes be held by pidfds.

internal import CMultiprocessing

/// Where they are refused, only our own children can be held, and none of a fork server's: processes of start
/// method `.forkServer` are spawned.
enum Pidfds {
  static func areGranted() throws(ProcessError) -> Bool {
    try check(mproc_pidfds_granted(), "pidfd_open") != 0
  }

  static var areRefused: Bool { mproc_pidfds_granted() == 0 }
}
