// What every type of shared object promises: between any two processes, however they were started, whoever waits.

import Multiprocessing
import Testing

/// All of them: handles cross into a forked copy as what it is, a copy.
private let allStartMethods = startMethods + [.fork]

/// Who waits, and who tells.
private enum Seats: String, CaseIterable {
  case parentWaits, childWaits, siblingWaits, grandchildWaits, grandchildTells

  var waiter: PartyPlace {
    switch self {
    case .parentWaits, .grandchildTells: .parent
    case .childWaits, .siblingWaits: .child
    case .grandchildWaits: .grandchild
    }
  }

  var teller: PartyPlace {
    switch self {
    case .childWaits, .grandchildWaits: .parent
    case .parentWaits, .siblingWaits: .child
    case .grandchildTells: .grandchild
    }
  }

  /// A forked copy has no `await`, so what is asynchronous is for the others.
  func allow(_ form: WaitForm, _ method: StartMethod) -> Bool {
    method != .fork || waiter == .parent || !form.isSuspended
  }
}

@Suite("Every type, every start method, whoever waits", .serialized, .timeLimit(.minutes(2)))
struct ConformanceTests {
  /// Both sides act; what the waiter has in the end.
  private func outcome(
    _ kind: SharedKind, _ telling: PartyRole, _ waiting: PartyRole, _ seats: Seats,
    _ method: StartMethod
  ) async throws -> Int? {
    let (teller, waiter) = try Party.pair(kind, telling, waiting)
    async let told = teller.act(in: seats.teller, method)
    let waited = try await waiter.act(in: seats.waiter, method)
    _ = try await told
    return waited
  }

  @Test("who waits gets what is told", arguments: SharedKind.allCases, allStartMethods)
  func telling(_ kind: SharedKind, _ method: StartMethod) async throws {
    for seats in Seats.allCases {
      for (number, form) in kind.forms.enumerated() where seats.allow(form, method) {
        let told = try await outcome(kind, .tells(number + 1), .waits(form), seats, method)
        #expect(told == number + 1, "\(seats), \(form)")
      }
    }
  }

  @Test(
    "who gave up before has lost nothing", arguments: SharedKind.allCases, allStartMethods)
  func givingUp(_ kind: SharedKind, _ method: StartMethod) async throws {
    for seats in Seats.allCases {
      for form in kind.forms where form.limit != nil && seats.allow(form, method) {
        let told = try await outcome(kind, .tells(7), .givesUp(form), seats, method)
        #expect(told == 7, "\(seats), \(form)")
      }
      guard kind.forms.contains(.suspended), seats.allow(.suspended, method) else { continue }
      let told = try await outcome(kind, .tells(8), .isCancelled, seats, method)
      #expect(told == 8, "\(seats), cancelled")
    }
  }

  @Test(
    "who waits for the dead is told of it, and gets the lock or the end of the stream",
    arguments: SharedKind.allCases.filter { $0.endsWithTeller }, allStartMethods)
  func deaths(_ kind: SharedKind, _ method: StartMethod) async throws {
    for seats in Seats.allCases where seats.teller != .parent {
      // A forked waiter has a copy of the teller's end, and so never sees the end of the stream.
      if kind.isStream, method == .fork, seats.waiter != .parent { continue }
      for form in kind.forms where seats.allow(form, method) {
        let (dying, waiter) = try dying(kind, form, seats, method)
        let told = try await waiter.act(in: seats.waiter, method)
        #expect(told == kind.bequest(form), "\(seats), \(form)")
        await #expect(throws: ProcessError.self) { try await dying.value }
      }
    }
  }

  /// The teller's end is nowhere but in the process that dies, once that has begun.
  private func dying(
    _ kind: SharedKind, _ form: WaitForm, _ seats: Seats, _ method: StartMethod
  ) throws -> (dying: Task<Int?, any Error>, waiter: Party) {
    let (teller, waiter) = try Party.pair(kind, .dies, .waits(form))
    return (Task { try await teller.act(in: seats.teller, method) }, waiter)
  }
}
