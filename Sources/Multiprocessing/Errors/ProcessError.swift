// What can go wrong with a process or a pool, besides a body's own error.

/// What can go wrong besides a body's own error; cancellation is `CancellationError`.
@nonexhaustive
public enum ProcessError: Error, Sendable, CustomStringConvertible {
  /// The process that ran the body ended without a result: a trap, a signal, or `exit`.
  case crashed(CrashReport)
  /// The body threw an error that is not `Codable`; its text arrives instead.
  case failed(RemoteError)
  /// The body, an argument or a result cannot cross to another process.
  case notTransferable(TransferFailure)
  /// The deadline passed; with `timeout:` the work was ended too.
  case timedOut(Duration)
  /// The operating system refused to start a process.
  case startFailed(Errno, operation: String)
  /// Workers died more often than the restart limit allows; the last one's report.
  case restartLimitExceeded(CrashReport)
  /// The pool, queue or connection has been shut down.
  case closed
  /// The request makes no sense; the text says what to change.
  case invalidConfiguration(String)

  public var description: String {
    switch self {
    case .crashed(let report): "the worker process crashed: \(report)"
    case .failed(let error): "the body failed: \(error)"
    case .notTransferable(let failure): "\(failure)"
    case .timedOut(let limit): "the deadline of \(limit) passed"
    case .startFailed(let errno, let operation):
      "starting a process failed: \(operation): \(errno) (errno \(errno.rawValue))"
    case .restartLimitExceeded(let report):
      "workers died more often than the restart limit allows; the last one: \(report)"
    case .closed: "it has been shut down"
    case .invalidConfiguration(let problem): problem
    }
  }
}
