// What is known of a process that ended without a result.

public import Glibc

/// What is known of a process that ended without a result; what is not known is nil.
public struct CrashReport: Sendable, Hashable, CustomStringConvertible {
  public var processIdentifier: pid_t
  /// The worker's index in its pool; nil for a `ChildProcess`.
  public var workerIndex: Int?
  public var exitStatus: ExitStatus
  /// The runtime's fatal-error message.
  public var message: String?
  public var backtrace: String?
  /// The position of the input in its `map`.
  public var taskIndex: Int?
  /// How often the task has been tried, this time included.
  public var attempts: Int
  /// True only where it is proved that the kernel's out-of-memory killer ended the process.
  public var ranOutOfMemory: Bool
  public var faultAddress: UInt?
  public var standardErrorTail: String?
  public var residentByteCount: Int?

  init(processIdentifier: pid_t, workerIndex: Int?, exitStatus: ExitStatus, taskIndex: Int? = nil) {
    self.processIdentifier = processIdentifier
    self.workerIndex = workerIndex
    self.exitStatus = exitStatus
    self.taskIndex = taskIndex
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
