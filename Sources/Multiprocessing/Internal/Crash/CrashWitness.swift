// What is kept of a process while it runs, for the case that it crashes.

internal import Glibc

struct CrashWitness: Sendable {
  /// What the process says passes through it.
  enum Speech: Sendable {
    case none
    case stream(ForwardedStream)
    case capture(OutputCapture)
  }

  private let speech: Speech
  private let memoryKills = MemoryKills.mark

  init(_ speech: Speech) { self.speech = speech }

  /// Once the process has ended, on the reactor's thread. `wasKilled`: by the application.
  func report(
    _ process: pid_t, workerIndex: Int?, _ status: ExitStatus, _ record: CrashRecord?,
    wasKilled: Bool
  ) -> CrashReport {
    let tail: String? =
      switch speech {
      case .none: nil
      case .stream(let stream): stream.drain()
      case .capture(let capture): capture.drain()
      }
    let message = Self.message(status, record, tail)
    var report = CrashReport(
      processIdentifier: process, workerIndex: workerIndex, exitStatus: status,
      evidence: CrashEvidence(record, message: message))
    report.standardErrorTail = tail
    report.faultAddress = record?.faultAddress
    report.residentByteCount = record?.residentByteCount
    report.ranOutOfMemory =
      message.map(FatalMessage.isAllocationFailure) == true
      || Self.signal(status) == SIGKILL && !wasKilled && MemoryKills.claim(since: memoryKills)
    return report
  }

  private static func signal(_ status: ExitStatus) -> Int32? {
    if case .signaled(let signal, _) = status { signal.rawValue } else { nil }
  }

  private static func message(
    _ status: ExitStatus, _ record: CrashRecord?, _ tail: String?
  ) -> String? {
    switch record?.signal ?? signal(status) {
    case SIGILL, SIGTRAP, SIGABRT: tail.flatMap(FatalMessage.find)
    case SIGSEGV, SIGBUS:
      record == nil && signal(status) != nil
        ? "no record of the crash could be written, as when a thread other than the main one"
          + " has used up its stack"
        : nil
    default: nil
    }
  }
}
