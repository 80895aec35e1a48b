// How a process ended.

/// How a process ended.
public enum ExitStatus: Sendable, Hashable, CustomStringConvertible {
  /// It called `exit` with this status.
  case exited(Int32)
  /// A signal ended it: a trap is SIGILL on x86-64 and SIGTRAP on arm64.
  case signaled(Signal, coreDumped: Bool)
  /// It has ended, but something else in the application took its status, or its fork server was gone, and
  /// the kernel, before Linux 6.15, does not tell any more.
  case unknown

  /// From the status word of `waitpid`.
  init(waitStatus: Int32) {
    let signal = waitStatus & 0x7f
    self =
      signal == 0
      ? .exited(waitStatus >> 8 & 0xff)
      : .signaled(Signal(rawValue: signal), coreDumped: waitStatus & 0x80 != 0)
  }

  public var description: String {
    switch self {
    case .exited(let status): "exited with status \(status)"
    case .signaled(let signal, let coreDumped):
      "was ended by \(signal)" + (coreDumped ? " (core dumped)" : "")
    case .unknown: "ended in an unknown way"
    }
  }
}
