// The two sides of a test of shared objects: when each goes on, and in which process it is.

import Foundation
import Glibc
import Multiprocessing

/// How one waits.
enum WaitForm: String, CaseIterable, Codable, Sendable {
  case blocking, suspended, blockingWithin, suspendedWithin

  var isSuspended: Bool { self == .suspended || self == .suspendedWithin }

  /// Never reached when somebody tells the number.
  var limit: Duration? { self == .blocking || self == .suspended ? nil : .seconds(60) }
}

/// What a side does.
enum PartyRole: Codable, Sendable {
  case tells(Int)
  /// Is killed at the point where it would tell.
  case dies
  case waits(WaitForm)
  /// Waits in vain for a moment first, and gives up; then it waits as the others do.
  case givesUp(WaitForm)
  /// Waits in vain for a moment first, and is cancelled; then it waits as the others do.
  case isCancelled
}

/// One side, as it travels into the process in which it acts. Not private: bodies take it.
struct Party: Codable, Sendable {
  enum Stage {
    static let teller = Int32(1)
    static let waiter = Int32(2)
    static let gaveUp = Int32(3)
  }

  let thing: SharedThing
  let role: PartyRole
  /// How far both are.
  let stage: SharedAtomic<Int32>
  /// What was told, for the types that carry no value.
  let number: SharedAtomic<Int>
  /// Whether the waiter gives up before it waits in earnest.
  let isPatient: Bool

  /// Two sides of one new object.
  static func pair(
    _ kind: SharedKind, _ telling: PartyRole, _ waiting: PartyRole
  ) throws -> (teller: Party, waiter: Party) {
    let (things, stage, number) = (
      try SharedThing.pair(kind), try SharedAtomic(Int32(0)), try SharedAtomic(0)
    )
    let isPatient = if case .waits = waiting { true } else { false }
    func party(_ thing: SharedThing, _ role: PartyRole) -> Party {
      Party(thing: thing, role: role, stage: stage, number: number, isPatient: isPatient)
    }
    return (party(things.telling, telling), party(things.waiting, waiting))
  }

  // MARK: - Acting

  /// What the waiter was told; nil: that nobody can tell it any more. 0 from the teller.
  func act() async throws -> Int? {
    switch role {
    case .waits(let form) where form.isSuspended:
      try await stage.wait(while: 0)
      enter(Stage.waiter)
      return try await waitSuspended(form.limit)
    case .givesUp(let form) where form.isSuspended:
      try await stage.wait(while: 0)
      enter(Stage.waiter)
      try await isInVain { try await waitSuspended(.milliseconds(5)) }
      enter(Stage.gaveUp)
      return try await waitSuspended(form.limit)
    case .isCancelled:
      try await stage.wait(while: 0)
      enter(Stage.waiter)
      let waiting = Task { try await waitSuspended(nil) }
      try await Task.sleep(for: .milliseconds(5))
      waiting.cancel()
      try await isInVain { try await waiting.value }
      enter(Stage.gaveUp)
      return try await waitSuspended(nil)
    default: return try await onThread(actBlocking)
    }
  }

  /// As `act`, for the roles that need no `await`: a forked copy has none.
  func actBlocking() throws -> Int? {
    switch role {
    case .tells(let told): try tell(told) { letWait() }
    case .dies:
      try tell(0) {
        letWait()
        kill(getpid(), SIGKILL)
      }
    case .waits(let form):
      stage.wait(while: 0)
      enter(Stage.waiter)
      return try waitBlocking(form.limit)
    case .givesUp(let form):
      stage.wait(while: 0)
      enter(Stage.waiter)
      try isInVain { try waitBlocking(.milliseconds(5)) }
      enter(Stage.gaveUp)
      return try waitBlocking(form.limit)
    case .isCancelled: throw UnexpectedError()
    }
    return 0
  }

  private func enter(_ next: Int32) {
    stage.store(next)
    stage.notifyAll()
  }

  /// Returns when the waiter waits in earnest, asleep by then: this is what the pause is for, and no test fails
  /// when it is too short.
  private func letWait() {
    enter(Stage.teller)
    stage.wait(while: Stage.teller)
    if !isPatient { stage.wait(while: Stage.waiter) }
    usleep(1_000)
  }

  /// Throws unless the wait ends by its limit, or by being cancelled.
  private func isInVain(_ wait: () throws -> Int?) throws {
    do { _ = try wait() } catch { return try expectInVain(error) }
    throw UnexpectedError()
  }

  private func isInVain(_ wait: () async throws -> Int?) async throws {
    do { _ = try await wait() } catch { return try expectInVain(error) }
    throw UnexpectedError()
  }

  private func expectInVain(_ error: any Error) throws {
    switch error {
    case is Late, is CancellationError, ProcessError.timedOut: break
    default: throw error
    }
    // Who gives up breaks it.
    if case .barrier(let barrier) = thing { barrier.reset() }
  }
}

// MARK: - Places

/// In which process a side acts.
enum PartyPlace: String, CaseIterable, Sendable {
  case parent, child, grandchild
}

extension Party {
  /// Acts there; throws what it throws.
  func act(in place: PartyPlace, _ method: StartMethod) async throws -> Int? {
    switch place {
    case .parent: return try await act()
    case .child where method == .fork:
      return try await ChildProcess.forking(body: actBlocking).value
    case .grandchild where method == .fork:
      return try await ChildProcess(self) {
        (party: Party) async throws -> Int? in try await party.act(in: .child, .fork)
      }.value
    case .child:
      return try await ChildProcess(self, options: ProcessOptions(method)) {
        (party: Party) async throws -> Int? in try await party.act()
      }.value
    case .grandchild:
      return try await ChildProcess(self, method.rawValue, options: ProcessOptions(method)) {
        (party: Party, method: String) async throws -> Int? in
        try await party.act(in: .child, StartMethod(rawValue: method) ?? .fork)
      }.value
    }
  }
}

/// Runs the body on a thread of its own: one of Swift's pool may not wait for another process.
private func onThread<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
  try await withCheckedThrowingContinuation { continuation in
    Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
  }
}
