// A lock and the state it guards, in memory that several processes share.

internal import CMultiprocessing
internal import Glibc

/// What a lock's new holder learns.
public struct LockAcquisition: Sendable, Hashable {
  /// The process that held the lock died in it: the state may be half changed.
  public var previousOwnerDied: Bool
}

/// A lock and the state it guards, in shared memory; Python's `Lock`, with what it locks.
///
/// A process that dies in it, whatever kills it, hands the lock on: the next holder gets it within some
/// milliseconds, and learns of it where its body takes a ``LockAcquisition``. The lock is the process's, not the
/// thread's: it may be awaited for and given back on different threads. It is not recursive: a body that asks for
/// the lock that it holds waits for ever, or for its limit.
///
/// Cost: some 20 ns and no system call when nobody else holds the lock. Who waits for long is handed the lock, ahead
/// of those who take it again and again. Processes need to see each other in `/proc`, so be in one PID namespace.
public final class SharedMutex<State: BitwiseCopyable & Sendable>: Codable, Sendable {
  private let cell: SharedCell

  private static var stateOffset: Int { MemoryLayout<mproc_lock>.size }

  /// - Throws: `.startFailed` when there is no memory.
  public init(_ state: State) throws(ProcessError) {
    cell = try SharedCell(
      .mutex, detail: UInt64(MemoryLayout<State>.size),
      byteCount: Self.stateOffset + MemoryLayout<State>.size)
    unsafe self.state.initialize(to: state)
  }

  private var lock: UnsafeMutablePointer<mproc_lock> { unsafe cell.words(as: mproc_lock.self) }

  private var state: UnsafeMutablePointer<State> {
    unsafe cell.words(as: State.self, at: Self.stateOffset)
  }

  // MARK: - Blocking

  /// Runs `body` with the lock held. Throws what it throws. Blocks the calling thread: for the bodies of workers.
  public func withLock<R: ~Copyable, E: Error>(
    _ body: (inout State) throws(E) -> R
  ) throws(E) -> R {
    _ = acquire(nil)
    defer { release() }
    return unsafe try body(&state.pointee)
  }

  /// Runs `body` with the lock held and tells it whether the previous owner died.
  public func withLock<R: ~Copyable, E: Error>(
    _ body: (inout State, LockAcquisition) throws(E) -> R
  ) throws(E) -> R {
    let acquisition = LockAcquisition(previousOwnerDied: acquire(nil) == 1)
    defer { release() }
    return unsafe try body(&state.pointee, acquisition)
  }

  /// Throws what the body throws, and `ProcessError.timedOut` when the lock was not free within `limit`.
  public func withLock<R: ~Copyable>(
    within limit: Duration, _ body: (inout State) throws -> R
  ) throws -> R {
    guard acquire(limit) >= 0 else { throw ProcessError.timedOut(limit) }
    defer { release() }
    return unsafe try body(&state.pointee)
  }

  /// nil: another one holds the lock.
  public func withLockIfAvailable<R: ~Copyable, E: Error>(
    _ body: (inout State) throws(E) -> R
  ) throws(E) -> R? {
    guard unsafe mproc_lock_try(lock) >= 0 else { return nil }
    defer { release() }
    return unsafe try body(&state.pointee)
  }

  private func acquire(_ limit: Duration?) -> Int32 {
    unsafe SharedWait.blocking(limit) { unsafe mproc_lock_acquire(lock, $0) }
  }

  private func release() { _ = unsafe mproc_lock_release(lock) }

  // MARK: - Asynchronous

  /// As the blocking form, without holding a thread of Swift's pool while it waits. Throws `CancellationError` when
  /// the task is cancelled before it has the lock.
  public func withLock<R: ~Copyable>(_ body: (inout State) throws -> R) async throws -> R {
    _ = try await acquireSuspended(nil)
    defer { release() }
    return unsafe try body(&state.pointee)
  }

  /// As the blocking form, without holding a thread while it waits.
  public func withLock<R: ~Copyable>(
    _ body: (inout State, LockAcquisition) throws -> R
  ) async throws -> R {
    let acquisition = LockAcquisition(previousOwnerDied: try await acquireSuspended(nil) == 1)
    defer { release() }
    return unsafe try body(&state.pointee, acquisition)
  }

  /// Throws what the body throws, `CancellationError`, and `ProcessError.timedOut` when the lock was not free within
  /// `limit`.
  public func withLock<R: ~Copyable>(
    within limit: Duration, _ body: (inout State) throws -> R
  ) async throws -> R {
    guard try await acquireSuspended(limit) >= 0 else { throw ProcessError.timedOut(limit) }
    defer { release() }
    return unsafe try body(&state.pointee)
  }

  private func acquireSuspended(_ limit: Duration?) async throws -> Int32 {
    unsafe try await SharedWait.suspended(limit) { [self] in unsafe mproc_lock_acquire(lock, $0) }
  }

  // MARK: - Conditions

  /// Waits until `predicate` holds, looked at with the lock held whenever `condition` is notified, then runs `body`,
  /// still under the lock. Python's `Condition.wait_for`.
  public func withLock<R: ~Copyable>(
    when predicate: (State) -> Bool, signaledBy condition: SharedCondition,
    _ body: (inout State) throws -> R
  ) throws -> R {
    try withLock(when: predicate, signaledBy: condition, until: nil, body)
  }

  /// Throws what the body throws, and `ProcessError.timedOut` when the predicate did not hold within `limit`.
  public func withLock<R: ~Copyable>(
    when predicate: (State) -> Bool, signaledBy condition: SharedCondition, within limit: Duration,
    _ body: (inout State) throws -> R
  ) throws -> R {
    try withLock(when: predicate, signaledBy: condition, until: limit, body)
  }

  private func withLock<R: ~Copyable>(
    when predicate: (State) -> Bool, signaledBy condition: SharedCondition,
    until limit: Duration?, _ body: (inout State) throws -> R
  ) throws -> R {
    let clock = ContinuousClock()
    let end = limit.map { clock.now + $0 }
    let began = mproc_now_ns()
    var hasWaited = false
    while true {
      guard acquire(end.map { clock.now.duration(to: $0) }) >= 0 else {
        // What woke this one may be meant for another.
        if hasWaited { condition.notifyOne() }
        throw ProcessError.timedOut(limit ?? .zero)
      }
      if unsafe predicate(state.pointee) { break }
      let ticket = condition.ticket
      release()
      let rest = end.map { clock.now.duration(to: $0) }
      guard condition.wait(after: ticket, since: began, rest) >= 0 else {
        throw ProcessError.timedOut(limit ?? .zero)
      }
      hasWaited = true
    }
    defer { release() }
    return unsafe try body(&state.pointee)
  }

  /// As the blocking form, without holding a thread while it waits.
  public func withLock<R: ~Copyable>(
    when predicate: (State) -> Bool, signaledBy condition: SharedCondition,
    _ body: (inout State) throws -> R
  ) async throws -> R {
    try await acquire(when: predicate, signaledBy: condition, nil)
    defer { release() }
    return unsafe try body(&state.pointee)
  }

  /// As the blocking form, without holding a thread while it waits.
  public func withLock<R: ~Copyable>(
    when predicate: (State) -> Bool, signaledBy condition: SharedCondition, within limit: Duration,
    _ body: (inout State) throws -> R
  ) async throws -> R {
    try await acquire(when: predicate, signaledBy: condition, limit)
    defer { release() }
    return unsafe try body(&state.pointee)
  }

  private func acquire(
    when predicate: (State) -> Bool, signaledBy condition: SharedCondition, _ limit: Duration?
  ) async throws {
    let clock = ContinuousClock()
    let end = limit.map { clock.now + $0 }
    let began = mproc_now_ns()
    var hasWaited = false
    while true {
      do {
        guard try await acquireSuspended(end.map { clock.now.duration(to: $0) }) >= 0 else {
          throw ProcessError.timedOut(limit ?? .zero)
        }
      } catch {
        // What woke this one may be meant for another.
        if hasWaited { condition.notifyOne() }
        throw error
      }
      if unsafe predicate(state.pointee) { return }
      let ticket = condition.ticket
      release()
      let rest = end.map { clock.now.duration(to: $0) }
      guard try await condition.waitSuspended(after: ticket, since: began, rest) >= 0 else {
        throw ProcessError.timedOut(limit ?? .zero)
      }
      hasWaited = true
    }
  }

  // MARK: - Codable

  /// Throws `EncodingError` outside a transfer to another process.
  public func encode(to encoder: any Encoder) throws { try cell.encode(to: encoder) }

  /// Throws `DecodingError` outside a transfer to another process, and for a lock of another state.
  public init(from decoder: any Decoder) throws {
    cell = try SharedCell(.mutex, from: decoder) { detail in
      detail == UInt64(MemoryLayout<State>.size)
        ? Self.stateOffset + MemoryLayout<State>.size : nil
    }
  }
}

extension SharedMutex where State == Void {
  /// A lock that guards nothing of its own: Python's `Lock()`.
  public convenience init() throws(ProcessError) { try self.init(()) }

  public func withLock<R: ~Copyable, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
    try withLock { (_: inout Void) throws(E) -> R in try body() }
  }

  public func withLock<R: ~Copyable>(_ body: () throws -> R) async throws -> R {
    try await withLock { (_: inout Void) throws -> R in try body() }
  }
}
