// Signals by the names of POSIX.

internal import Glibc

/// A signal number, with the names of POSIX.
public struct Signal: RawRepresentable, Sendable, Hashable, Codable, CustomStringConvertible {
  public var rawValue: Int32

  public init(rawValue: Int32) { self.rawValue = rawValue }

  public static var hangup: Signal { Signal(rawValue: SIGHUP) }
  public static var interrupt: Signal { Signal(rawValue: SIGINT) }
  public static var quit: Signal { Signal(rawValue: SIGQUIT) }
  public static var abort: Signal { Signal(rawValue: SIGABRT) }
  public static var kill: Signal { Signal(rawValue: SIGKILL) }
  public static var terminate: Signal { Signal(rawValue: SIGTERM) }
  public static var stop: Signal { Signal(rawValue: SIGSTOP) }
  public static var `continue`: Signal { Signal(rawValue: SIGCONT) }
  public static var user1: Signal { Signal(rawValue: SIGUSR1) }
  public static var user2: Signal { Signal(rawValue: SIGUSR2) }

  /// The name, such as "SIGTERM", or "signal 40" for one that has none.
  public var description: String { Self.names[rawValue] ?? "signal \(rawValue)" }

  private static let names: [Int32: String] = [
    SIGHUP: "SIGHUP", SIGINT: "SIGINT", SIGQUIT: "SIGQUIT", SIGILL: "SIGILL", SIGTRAP: "SIGTRAP",
    SIGABRT: "SIGABRT", SIGBUS: "SIGBUS", SIGFPE: "SIGFPE", SIGKILL: "SIGKILL", SIGUSR1: "SIGUSR1",
    SIGSEGV: "SIGSEGV", SIGUSR2: "SIGUSR2", SIGPIPE: "SIGPIPE", SIGALRM: "SIGALRM",
    SIGTERM: "SIGTERM", SIGCHLD: "SIGCHLD", SIGCONT: "SIGCONT", SIGSTOP: "SIGSTOP",
    SIGTSTP: "SIGTSTP", SIGTTIN: "SIGTTIN", SIGTTOU: "SIGTTOU", SIGXCPU: "SIGXCPU",
    SIGXFSZ: "SIGXFSZ", SIGSYS: "SIGSYS",
  ]
}
