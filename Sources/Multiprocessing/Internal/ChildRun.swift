// One `ChildProcess` without its types: the process, its outcome, and who waits for it.

internal import CMultiprocessing
internal import Glibc
internal import Synchronization

final class ChildRun: Sendable {
  /// An outcome's bytes, or why there is none.
  typealias Outcome = Result<[UInt8], ProcessError>

  private struct State {
    var outcome: Outcome?
    /// A forked copy ended itself, because it could not go on.
    var isStuck = false
    var waiters: [UInt64: CheckedContinuation<Outcome?, Never>] = [:]
    var lastWaiter: UInt64 = 0
  }

  let process: ManagedProcess
  let name: String
  let standardOutput: OutputCapture?
  let standardError: OutputCapture?
  private let crashPage: CrashPage
  private let witness: CrashWitness
  private let state = Mutex(State())

  init(
    _ process: ManagedProcess, name: String, _ crashPage: CrashPage,
    standardOutput: borrowing ChildStream, standardError: borrowing ChildStream
  ) throws(ProcessError) {
    self.process = process
    self.name = name
    self.crashPage = crashPage
    self.standardOutput = standardOutput.capture
    self.standardError = standardError.capture
    witness = CrashWitness(standardError.speech)
    unsafe try process.listen(
      ManagedProcess.Listener(
        message: { [self] bytes, descriptor in unsafe receive(bytes, descriptor) },
        ended: { [self] status in ended(status) }))
  }

  // MARK: - Events, on the reactor's thread

  private func receive(_ bytes: UnsafeRawBufferPointer, _ descriptor: Int32?) {
    defer { if let descriptor { _ = mproc_close(descriptor) } }
    if let outcome = unsafe resultOutcome(bytes, descriptor) { deliver(outcome) }
    if bytes.count == MemoryLayout<UInt32>.size,
      unsafe bytes.loadUnaligned(as: UInt32.self) == MPROC_MESSAGE_STUCK.rawValue
    {
      state.withLock { $0.isStuck = true }
    }
  }

  private func ended(_ status: ExitStatus) {
    guard state.withLock({ $0.outcome == nil }) else { return }
    var report = witness.report(
      process.pid, workerIndex: nil, status, crashPage.record, wasKilled: process.wasKilled)
    if state.withLock({ $0.isStuck }) {
      report.message =
        "every thread of the forked copy waited for a lock for ever: a thread of this process, which the copy"
        + " does not have, held it at the moment of the fork, or the body used what does not survive a fork,"
        + " such as a Task or a DispatchQueue; use ChildProcess(…) instead"
    }
    deliver(.failure(.crashed(report)))
  }

  /// The first outcome counts.
  private func deliver(_ outcome: Outcome) {
    let waiters = state.withLock { state -> [CheckedContinuation<Outcome?, Never>] in
      guard state.outcome == nil else { return [] }
      state.outcome = outcome
      defer { state.waiters = [:] }
      return Array(state.waiters.values)
    }
    for waiter in waiters { waiter.resume(returning: outcome) }
  }

  // MARK: - Waiting

  /// The outcome, once it is there; throws when the waiting task is cancelled.
  func outcome() async throws -> [UInt8] {
    let id = state.withLock { state -> UInt64 in
      state.lastWaiter += 1
      return state.lastWaiter
    }
    let outcome = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let immediate = state.withLock { state -> (Outcome?)? in
          if let outcome = state.outcome { return .some(outcome) }
          if Task.isCancelled { return .some(nil) }
          state.waiters[id] = continuation
          return nil
        }
        if let immediate { continuation.resume(returning: immediate) }
      }
    } onCancel: {
      let waiter = state.withLock { $0.waiters.removeValue(forKey: id) }
      waiter?.resume(returning: nil)
    }
    guard let outcome else { throw CancellationError() }
    return try outcome.get()
  }
}
