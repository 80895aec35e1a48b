// One object of every type that processes share, as its two sides use it: one tells a number, the other waits for it.

import Glibc
import Multiprocessing

/// Every type, by the name that the tests show.
enum SharedKind: String, CaseIterable, Sendable {
  case connection, queue, queueEnds, fullQueue, queueToJoin, memory, array, value, atomic, mutex,
    recursiveMutex
  case semaphore, condition, event, barrier

  /// Ends with its last teller.
  var isStream: Bool { self == .connection || self == .queueEnds }

  /// The death of the teller ends the wait. The others see no deaths: who waits for them waits until the limit.
  var endsWithTeller: Bool { isStream || [.value, .mutex, .recursiveMutex].contains(self) }

  /// What the waiter has when the teller died. `SharedValue` and a wait with a limit do not say who held it before.
  func bequest(_ form: WaitForm) -> Int? {
    switch self {
    case .mutex, .recursiveMutex: form.limit == nil ? SharedThing.ofTheDead : 0
    case .value: 0
    default: nil
    }
  }

  var forms: [WaitForm] {
    switch self {
    case .recursiveMutex: [.blocking]
    case .value: [.blocking, .suspended]
    default: WaitForm.allCases
    }
  }
}

/// An end that has its handle nested in the associated value of an enumeration. Not private: bodies take it.
enum SharedThing: Codable, Sendable {
  /// In place of the number: the lock's previous owner died.
  static let ofTheDead = -1

  case connection(Connection<Int, Int>)
  case queue(SharedQueue<Int>)
  case sender(SharedQueue<Int>.Sender)
  case receiver(SharedQueue<Int>.Receiver)
  case fullQueue(SharedQueue<Int>)
  case queueToJoin(SharedQueue<Int>)
  case memory(SharedMemory)
  case array(SharedArray<Int>)
  case value(SharedValue<Int>)
  case atomic(SharedAtomic<Int>)
  case mutex(SharedMutex<Int>)
  case recursiveMutex(SharedRecursiveMutex)
  case semaphore(SharedSemaphore)
  case condition(SharedMutex<Int>, SharedCondition)
  case event(SharedEvent)
  case barrier(SharedBarrier)

  /// What the teller has, and what the waiter has.
  static func pair(_ kind: SharedKind) throws -> (telling: SharedThing, waiting: SharedThing) {
    func both(_ thing: SharedThing) -> (SharedThing, SharedThing) { (thing, thing) }
    switch kind {
    case .connection:
      let (telling, waiting) = try Connection<Int, Int>.pair()
      return (.connection(telling), .connection(waiting))
    case .queueEnds:
      let queue = try SharedQueue<Int>(capacity: 1)
      return (.sender(queue.sender), .receiver(queue.receiver))
    case .queue: return both(.queue(try SharedQueue(capacity: 1)))
    case .fullQueue, .queueToJoin:
      let queue = try SharedQueue<Int>(capacity: 1)
      guard try queue.trySend(0) else { throw UnexpectedError() }
      if kind == .fullQueue { return both(.fullQueue(queue)) }
      _ = try queue.tryReceive()
      return both(.queueToJoin(queue))
    case .memory: return both(.memory(try SharedMemory(byteCount: 8)))
    case .array: return both(.array(try SharedArray(count: 1)))
    case .value: return both(.value(try SharedValue(0)))
    case .atomic: return both(.atomic(try SharedAtomic(0)))
    case .mutex: return both(.mutex(try SharedMutex(0)))
    case .recursiveMutex: return both(.recursiveMutex(try SharedRecursiveMutex()))
    case .semaphore: return both(.semaphore(try SharedSemaphore(0)))
    case .condition: return both(.condition(try SharedMutex(0), try SharedCondition()))
    case .event: return both(.event(try SharedEvent()))
    case .barrier: return both(.barrier(try SharedBarrier(parties: 2)))
    }
  }
}

// MARK: - Telling

extension Party {
  /// Calls `meanwhile` at the point up to which the waiter has to wait, then tells the number.
  func tell(_ told: Int, _ meanwhile: () throws -> Void) throws {
    switch thing {
    case .value(let value):
      try value.withLock { state in
        try meanwhile()
        state = told
      }
    case .mutex(let mutex):
      try mutex.withLock { state in
        try meanwhile()
        state = told
      }
    case .condition(let mutex, let condition):
      try mutex.withLock { state in
        try meanwhile()
        state = told
      }
      condition.notifyOne()
    case .recursiveMutex(let mutex):
      try mutex.withLock {
        try mutex.withLock { try meanwhile() }
        number.store(told)
      }
    default:
      try meanwhile()
      try signal(told)
    }
  }

  private func signal(_ told: Int) throws {
    switch thing {
    case .connection(let end): try end.send(told)
    case .queue(let queue): try queue.send(told)
    case .sender(let sender): try sender.send(told)
    case .fullQueue(let queue):
      number.store(told)
      _ = try queue.receive()
    case .queueToJoin(let queue):
      number.store(told)
      queue.markDone()
    case .memory(let memory):
      memory.withMutableBytes { $0.storeBytes(of: told, as: Int.self) }
      number.store(told)
      number.notifyAll()
    case .array(let array):
      array[0] = told
      number.store(told)
      number.notifyAll()
    case .atomic(let atomic):
      atomic.store(told)
      atomic.notifyOne()
    case .semaphore(let semaphore):
      number.store(told)
      semaphore.signal()
    case .event(let event):
      number.store(told)
      event.set()
    case .barrier(let barrier):
      number.store(told)
      try barrier.wait()
    case .receiver, .value, .mutex, .recursiveMutex, .condition: throw UnexpectedError()
    }
  }
}

// MARK: - Waiting

/// The limit passed, of a wait that says so by its result.
struct Late: Error, Codable {}

extension Party {
  /// The number that was told; nil: nobody can tell it any more. Blocks the calling thread.
  func waitBlocking(_ limit: Duration?) throws -> Int? {
    func wait(_ forEver: () throws -> Void, _ within: (Duration) throws -> Bool) throws {
      guard let limit else { return try forEver() }
      guard try within(limit) else { throw Late() }
    }
    switch thing {
    case .connection(let end): return try limit.map { try end.receive(within: $0) } ?? end.receive()
    case .queue(let queue):
      return try limit.map { try queue.receive(within: $0) } ?? queue.receive()
    case .receiver(let receiver):
      return try limit.map { try receiver.receive(within: $0) } ?? receiver.receive()
    case .fullQueue(let queue): try limit.map { try queue.send(0, within: $0) } ?? queue.send(0)
    case .queueToJoin(let queue): try limit.map { try queue.join(within: $0) } ?? queue.join()
    case .mutex(let mutex):
      return try limit.map { try mutex.withLock(within: $0) { $0 } }
        ?? mutex.withLock { $1.previousOwnerDied ? SharedThing.ofTheDead : $0 }
    case .condition(let mutex, let condition):
      return try limit.map {
        try mutex.withLock(when: { $0 != 0 }, signaledBy: condition, within: $0) { $0 }
      } ?? mutex.withLock(when: { $0 != 0 }, signaledBy: condition) { $0 }
    case .value(let value): return try value.load()
    case .recursiveMutex(let mutex):
      return mutex.withLock { (acquisition: LockAcquisition) in
        mutex.withLock { acquisition.previousOwnerDied ? SharedThing.ofTheDead : number.load() }
      }
    case .atomic(let atomic):
      try wait({ atomic.wait(while: 0) }, { atomic.wait(while: 0, within: $0) })
    case .semaphore(let semaphore):
      try wait({ try semaphore.wait() }, { try semaphore.wait(within: $0) })
    case .event(let event): try wait({ try event.wait() }, { try event.wait(within: $0) })
    case .barrier(let barrier): _ = try limit.map { try barrier.wait(within: $0) } ?? barrier.wait()
    case .memory, .array:
      try wait({ number.wait(while: 0) }, { number.wait(while: 0, within: $0) })
    case .sender: throw UnexpectedError()
    }
    return found
  }

  /// As the blocking form, without holding a thread while it waits.
  func waitSuspended(_ limit: Duration?) async throws -> Int? {
    func wait(
      _ forEver: () async throws -> Void, _ within: (Duration) async throws -> Bool
    ) async throws {
      guard let limit else { return try await forEver() }
      guard try await within(limit) else { throw Late() }
    }
    switch thing {
    case .connection(let end):
      guard let limit else { return try await end.receive() }
      return try await end.receive(within: limit)
    case .queue(let queue):
      guard let limit else { return try await queue.receive() }
      return try await queue.receive(within: limit)
    case .receiver(let receiver):
      guard let limit else { return try await receiver.receive() }
      return try await receiver.receive(within: limit)
    case .fullQueue(let queue):
      guard let limit else {
        try await queue.send(0)
        break
      }
      try await queue.send(0, within: limit)
    case .queueToJoin(let queue):
      guard let limit else {
        try await queue.join()
        break
      }
      try await queue.join(within: limit)
    case .mutex(let mutex):
      guard let limit else {
        return try await mutex.withLock { $1.previousOwnerDied ? SharedThing.ofTheDead : $0 }
      }
      return try await mutex.withLock(within: limit) { $0 }
    case .condition(let mutex, let condition):
      guard let limit else {
        return try await mutex.withLock(when: { $0 != 0 }, signaledBy: condition) { $0 }
      }
      return try await mutex.withLock(when: { $0 != 0 }, signaledBy: condition, within: limit) {
        $0
      }
    case .value(let value): return try await value.load()
    case .atomic(let atomic):
      try await wait(
        { try await atomic.wait(while: 0) }, { try await atomic.wait(while: 0, within: $0) })
    case .semaphore(let semaphore):
      try await wait({ try await semaphore.wait() }, { try await semaphore.wait(within: $0) })
    case .event(let event):
      try await wait({ try await event.wait() }, { try await event.wait(within: $0) })
    case .barrier(let barrier):
      try await wait(
        { try await barrier.wait() }, { try await barrier.wait(within: $0) != Int.min })
    case .memory, .array:
      try await wait(
        { try await number.wait(while: 0) }, { try await number.wait(while: 0, within: $0) })
    case .recursiveMutex, .sender: throw UnexpectedError()
    }
    return found
  }

  private var found: Int {
    switch thing {
    case .memory(let memory): memory.withBytes { unsafe $0.unsafeLoad(as: Int.self) }
    case .array(let array): array[0]
    case .atomic(let atomic): atomic.load()
    default: number.load()
    }
  }
}
