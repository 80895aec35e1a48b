// What is known of a process that ended without a result.

public import Glibc

/// What is known of a process that ended without a result; what is not known is nil.
///
/// A process that is ended by a signal which dumps core (a trap, a bad access, `abort`) first writes down what
/// happened to it, in memory that it shares with the application; in release builds too. To be ready for that
/// costs a process some microseconds at its start, and a task nothing. The report is there with the error; in a
/// crash loop every crash has one.
///
/// There is no such record, and so neither ``backtrace`` nor ``faultAddress`` nor ``residentByteCount``,
///
/// * after SIGKILL, whoever sent it, and after `exit`. When the kernel ended the process for want of memory,
///   ``ranOutOfMemory`` says so, and there is nothing else to know;
/// * when the process's code has installed a handler of its own for the signal;
/// * when the stack of another thread than the main one was used up: ``message`` then says that there is no
///   record, and why. Of a stack overflow of the main thread the backtrace has both ends.
///
/// When the stack was overwritten, the backtrace ends where it makes no sense any more.
public struct CrashReport: Sendable, Hashable, CustomStringConvertible {
  public var processIdentifier: pid_t
  /// The worker's index in its pool; nil for a `ChildProcess`.
  public var workerIndex: Int?
  public var exitStatus: ExitStatus
  /// The position of the input in its `map`.
  public var taskIndex: Int?
  /// How often the task has been tried, this time included.
  public var attempts: Int
  /// True only where it is proved: the kernel's out-of-memory killer counted a victim in the
  /// application's cgroup when SIGKILL ended the process, or the process itself said that it could not
  /// allocate memory.
  public var ranOutOfMemory: Bool
  /// The address whose access, or the instruction whose execution, the kernel refused.
  public var faultAddress: UInt?
  /// The last 8 KiB that the process wrote to its standard error, as far as they passed through the
  /// application (``ProcessOptions/standardError``).
  public var standardErrorTail: String?
  /// The process's resident memory in bytes when it crashed.
  public var residentByteCount: Int?

  private var text = Text.derived
  private let evidence: CrashEvidence?

  /// The runtime's fatal-error message: from the process's standard error where it passed through the
  /// application, else, for traps of a release build, from the debug information if there is some.
  ///
  /// The first reading for a place in the program can take milliseconds of CPU time, as for ``backtrace``.
  public var message: String? {
    get { if case .given(let message, _) = text { message } else { evidence?.message } }
    set { text = .given(message: newValue, backtrace: backtrace) }
  }

  /// The stack of the thread that crashed: functions, with file and line where there is debug
  /// information, a line each.
  ///
  /// Names are looked up in the program's files when this is first read, which takes some 5 to 50 ms of
  /// CPU time for a place that was not seen before, and no time worth speaking of after. After a second of
  /// such work in a row a twentieth of one CPU is spent on it at most, and places without a known name are
  /// given as file and offset.
  public var backtrace: String? {
    get { if case .given(_, let backtrace) = text { backtrace } else { evidence?.backtrace } }
    set { text = .given(message: message, backtrace: newValue) }
  }

  init(
    processIdentifier: pid_t, workerIndex: Int?, exitStatus: ExitStatus, evidence: CrashEvidence?
  ) {
    self.processIdentifier = processIdentifier
    self.workerIndex = workerIndex
    self.exitStatus = exitStatus
    self.evidence = evidence
    attempts = 1
    ranOutOfMemory = false
  }

  public var description: String {
    var text = workerIndex.map { "worker \($0), " } ?? ""
    text += "process \(processIdentifier) \(exitStatus)"
    if let taskIndex { text += " at input \(taskIndex)" }
    if attempts > 1 { text += " in attempt \(attempts)" }
    if ranOutOfMemory { text += ", out of memory" }
    if let message { text += ": \(message)" }
    return text
  }
}

extension CrashReport {
  /// Message and backtrace: from the evidence, or set by the user.
  fileprivate enum Text: Hashable {
    case derived
    case given(message: String?, backtrace: String?)
  }
}
