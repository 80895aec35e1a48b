// What a change of a locked state is announced by.

internal import CMultiprocessing

/// Wakes those who wait in ``SharedMutex/withLock(when:signaledBy:_:)`` for a state; Python's `Condition`, whose lock
/// is the `SharedMutex`.
///
/// Change the state under the lock, then notify. A waiter that wakes looks at its predicate again, so a
/// notification too many does no harm. A notifier that dies before it has woken anybody delays them by 20 ms, or by
/// an eighth of the time that they have waited, 0.5 s at most.
public final class SharedCondition: Codable, Sendable {
  private let cell: SharedCell

  /// - Throws: `.startFailed` when there is no memory.
  public init() throws(ProcessError) {
    cell = try SharedCell(
      .condition, detail: 0, byteCount: MemoryLayout<mproc_condition>.size)
  }

  private var words: UnsafeMutablePointer<mproc_condition> {
    unsafe cell.words(as: mproc_condition.self)
  }

  /// Wakes one of those who wait. Cost: no system call when nobody does.
  public func notifyOne() { unsafe mproc_condition_notify(words, false) }

  /// Wakes all who wait. Cost: no system call when nobody does.
  public func notifyAll() { unsafe mproc_condition_notify(words, true) }

  var ticket: UInt32 { unsafe mproc_condition_ticket(words) }

  /// Waits for a notification after `ticket`, or until it is time to look again for who waits since `began`.
  func wait(after ticket: UInt32, since began: UInt64, _ limit: Duration?) -> Int32 {
    unsafe SharedWait.blocking(limit) { unsafe mproc_condition_wait(words, ticket, began, $0) }
  }

  func waitSuspended(
    after ticket: UInt32, since began: UInt64, _ limit: Duration?
  ) async throws -> Int32 {
    unsafe try await SharedWait.suspended(limit) { [self] in
      unsafe mproc_condition_wait(words, ticket, began, $0)
    }
  }

  /// Throws `EncodingError` outside a transfer to another process.
  public func encode(to encoder: any Encoder) throws { try cell.encode(to: encoder) }

  /// Throws `DecodingError` outside a transfer to another process.
  public init(from decoder: any Decoder) throws {
    cell = try SharedCell(.condition, from: decoder) { _ in MemoryLayout<mproc_condition>.size }
  }
}
