// What the application knows of a process that has died, and what it can make of it when somebody asks.

internal import Glibc
internal import Synchronization

/// Shared by the copies of a report, and equal to nothing else. Names are looked up when they are first read.
final class CrashEvidence: Sendable, Hashable {
  private let record: CrashRecord?
  /// What the process said, or what its end itself says.
  private let spoken: String?
  private let names = Mutex<BacktraceText?>(nil)

  init(_ record: CrashRecord?, message: String?) {
    self.record = record
    spoken = message
  }

  var backtrace: String? { backtraceText?.text }

  var message: String? { spoken ?? backtraceText?.reason ?? record.flatMap(Self.stackOverflow) }

  static func == (left: CrashEvidence, right: CrashEvidence) -> Bool { left === right }

  func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }

  private var backtraceText: BacktraceText? {
    guard let record, !record.frames.isEmpty else { return nil }
    if let known = names.withLock({ $0 }) { return known }
    // Not under the lock: it takes milliseconds.
    let text = BacktraceText(record)
    names.withLock { $0 = text }
    return text
  }

  /// A fault next to where the stack pointer was.
  private static func stackOverflow(_ record: CrashRecord) -> String? {
    guard record.signal == SIGSEGV, let address = record.faultAddress else { return nil }
    let distance =
      address > record.stackPointer
      ? address - record.stackPointer : record.stackPointer - address
    return distance < 65_536 ? "stack overflow" : nil
  }
}
