// Takes errors apart: each helper records an issue, and ends the test, when the error is another one.

import Multiprocessing
import Testing

/// The report of a crash.
func crashReport(
  of error: (any Error)?, sourceLocation: SourceLocation = #_sourceLocation
) throws -> CrashReport {
  guard case ProcessError.crashed(let report)? = error else {
    throw unexpected(error, "a crash", sourceLocation)
  }
  return report
}

/// Why something could not be sent.
func transferFailure(
  of error: (any Error)?, sourceLocation: SourceLocation = #_sourceLocation
) throws -> TransferFailure {
  guard case ProcessError.notTransferable(let failure)? = error else {
    throw unexpected(error, "a refusal", sourceLocation)
  }
  return failure
}

/// The text of `invalidConfiguration`.
func configurationProblem(
  of error: (any Error)?, sourceLocation: SourceLocation = #_sourceLocation
) throws -> String {
  guard case ProcessError.invalidConfiguration(let problem)? = error else {
    throw unexpected(error, "an invalid configuration", sourceLocation)
  }
  return problem
}

func isClosed(_ error: any Error) -> Bool {
  if case ProcessError.closed = error { true } else { false }
}

struct UnexpectedError: Error {}

private func unexpected(
  _ error: (any Error)?, _ expected: String, _ sourceLocation: SourceLocation
) -> UnexpectedError {
  Issue.record(
    "expected \(expected), got \(error.map { "\($0)" } ?? "no error")",
    sourceLocation: sourceLocation)
  return UnexpectedError()
}
