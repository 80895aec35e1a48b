// Locks between processes: exclusion, every form, and the death of a holder.

import Foundation
import Glibc
import Multiprocessing
import Testing

/// Not private: a handle's type must have a name in the worker.
struct LockedPair: BitwiseCopyable, Sendable {
  var first = 0
  var second = 0
}

@Suite("Locks between processes", .timeLimit(.minutes(2)))
struct SharedLockTests {
  @Test("a mutex excludes the processes that share it", arguments: startMethods)
  func exclusion(_ method: StartMethod) async throws {
    let mutex = try SharedMutex(LockedPair())
    try await withPool(method, workers: 3) { pool in
      try await pool.forEach((0..<30).map { _ in mutex }) { (mutex: SharedMutex<LockedPair>) in
        for _ in 0..<1_000 {
          mutex.withLock { pair in
            pair.first += 1
            pair.second += 1
          }
        }
      }
    }
    #expect(blocking { mutex.withLock { $0.first } } == 30_000)
    #expect(try await mutex.withLock { $0.second } == 30_000)
  }

  @Test("who holds it keeps the others out, with every form", arguments: startMethods)
  func forms(_ method: StartMethod) async throws {
    let mutex = try SharedMutex(7)
    let (held, done) = (try SharedEvent(), try SharedEvent())
    let child = try ChildProcess(mutex, held, done, options: ProcessOptions(method)) {
      (mutex: SharedMutex<Int>, held: SharedEvent, done: SharedEvent) in
      try mutex.withLock { value in
        held.set()
        try done.wait()
        value += 1
      }
    }
    try await held.wait()
    #expect(mutex.withLockIfAvailable { $0 } == nil)
    let short = Duration.milliseconds(5)
    #expect(throws: ProcessError.self) { try mutex.withLock(within: short) { $0 } }
    await #expect(throws: ProcessError.self) { try await mutex.withLock(within: short) { $0 } }
    let waiting = Task { try await mutex.withLock { $0 } }
    let cancelled = Task { try await mutex.withLock { $0 } }
    cancelled.cancel()
    await #expect(throws: CancellationError.self) { try await cancelled.value }
    done.set()
    #expect(try await waiting.value == 8)
    try await child.value
    #expect(mutex.withLockIfAvailable { $0 } == 8)
    #expect(try await mutex.withLock(within: short) { $0 } == 8)
  }

  @Test("a body that throws gives the lock back, and its error arrives")
  func throwing() async throws {
    struct Odd: Error {}
    let mutex = try SharedMutex(1)
    #expect(throws: Odd.self) { try mutex.withLock { (_: inout Int) throws(Odd) in throw Odd() } }
    await #expect(throws: Odd.self) { try await mutex.withLock { _ in throw Odd() } }
    #expect(mutex.withLockIfAvailable { $0 } == 1)
  }

  @Test("the death of a holder hands the lock on, and is told", arguments: startMethods)
  func death(_ method: StartMethod) async throws {
    let mutex = try SharedMutex(LockedPair())
    let recursive = try SharedRecursiveMutex()
    try await withPool(method, workers: 1) { pool in
      for round in 1...3 {
        await #expect(throws: ProcessError.self) {
          try await pool.run(mutex, recursive) {
            (mutex: SharedMutex<LockedPair>, recursive: SharedRecursiveMutex) -> Void in
            recursive.withLock {
              mutex.withLock { pair in
                pair.first += 1
                kill(getpid(), SIGKILL)
              }
            }
          }
        }
        let (died, first) = blocking {
          mutex.withLock { pair, acquisition in (acquisition.previousOwnerDied, pair.first) }
        }
        #expect(died && first == round)
        #expect(
          recursive.withLock { (acquisition: LockAcquisition) in acquisition.previousOwnerDied })
        // Told once.
        let again = try await mutex.withLock { _, acquisition in acquisition.previousOwnerDied }
        #expect(!again)
      }
      // The lock of a process that died is free for others too.
      let second = try await pool.run(mutex) { (mutex: SharedMutex<LockedPair>) in
        mutex.withLock { $0.second }
      }
      #expect(second == 0)
    }
  }

  @Test(
    "a recursive mutex may be taken again by its thread, and by no other", arguments: startMethods)
  func recursion(_ method: StartMethod) async throws {
    let mutex = try SharedRecursiveMutex()
    let counter = try SharedArray<Int>(count: 1)
    try await withPool(method, workers: 3) { pool in
      try await pool.forEach((0..<12).map { _ in (mutex, counter) }) {
        (mutex: SharedRecursiveMutex, counter: SharedArray<Int>) in
        for _ in 0..<500 {
          mutex.withLock { mutex.withLock { mutex.withLock { counter[0] += 1 } } }
        }
      }
    }
    #expect(counter[0] == 6_000)
  }

  @Test("a value is changed under its lock", arguments: startMethods)
  func value(_ method: StartMethod) async throws {
    let value = try SharedValue(0)
    try await withPool(method, workers: 2) { pool in
      try await pool.forEach((1...100).map { (value, $0) }) {
        (value: SharedValue<Int>, number: Int) in
        try value.withLock { $0 += number }
      }
    }
    #expect(try await value.load() == 5_050)
    #expect(try blocking { try value.withLock { $0 } } == 5_050)
  }

  @Test("a mutex without a state")
  func void() async throws {
    let mutex = try SharedMutex<Void>()
    #expect(blocking { mutex.withLock { 1 } } == 1)
    #expect(try await mutex.withLock { 2 } == 2)
  }

  @Test("a condition wakes who waits for a state", arguments: startMethods)
  func condition(_ method: StartMethod) async throws {
    let mutex = try SharedMutex(0)
    let condition = try SharedCondition()
    try await withPool(method, workers: 2) { pool in
      // A worker waits for what the application does.
      let waiting = pool.submit(mutex, condition) {
        (mutex: SharedMutex<Int>, condition: SharedCondition) in
        try mutex.withLock(when: { $0 >= 3 }, signaledBy: condition) { value in
          value += 10
          return value
        }
      }
      for _ in 0..<3 {
        blocking { mutex.withLock { $0 += 1 } }
        condition.notifyAll()
      }
      #expect(try await waiting.value == 13)
      // The application waits for what a worker does.
      async let done = mutex.withLock(when: { $0 == 100 }, signaledBy: condition) { $0 }
      try await pool.run(mutex, condition) {
        (mutex: SharedMutex<Int>, condition: SharedCondition) in
        mutex.withLock { $0 = 100 }
        condition.notifyOne()
      }
      #expect(try await done == 100)
      await #expect(throws: ProcessError.self) {
        try await mutex.withLock(
          when: { $0 == 5 }, signaledBy: condition, within: .milliseconds(20)
        ) { $0 }
      }
      #expect(throws: ProcessError.self) {
        try mutex.withLock(
          when: { $0 == 5 }, signaledBy: condition, within: .milliseconds(20)
        ) { $0 }
      }
      let never = Task { try await mutex.withLock(when: { $0 == 5 }, signaledBy: condition) { $0 } }
      never.cancel()
      await #expect(throws: CancellationError.self) { try await never.value }
      #expect(mutex.withLockIfAvailable { $0 } == 100)
    }
  }

  @Test("a handle cannot be taken for one of another kind, or leave the application")
  func kinds() async throws {
    let mutex = try SharedMutex(1)
    #expect(throws: EncodingError.self) { try JSONEncoder().encode(mutex) }
    try await withPool(.forkServer, workers: 1) { pool async throws in
      // The same bytes travel for every kind.
      let child = try ChildProcess(Disguised(mutex)) { $0.event.isSet }
      await #expect(throws: (any Error).self) { try await child.value }
    }
  }

  /// Encodes a mutex and decodes an event.
  private struct Disguised: Codable, Sendable {
    let mutex: SharedMutex<Int>?
    let event: SharedEvent

    init(_ mutex: SharedMutex<Int>) throws {
      self.mutex = mutex
      event = try SharedEvent()
    }

    func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      try container.encode(mutex)
    }

    init(from decoder: any Decoder) throws {
      mutex = nil
      event = try decoder.singleValueContainer().decode(SharedEvent.self)
    }
  }
}
