// Semaphores, events, barriers and atomics: whoever waits, the application, a worker, or a worker for another.

import Glibc
import Multiprocessing
import Testing

@Suite("Signals between processes", .timeLimit(.minutes(2)))
struct SharedSignalTests {
  private let short = Duration.milliseconds(10)

  // MARK: - Semaphores

  @Test("permits cross in every direction", arguments: startMethods)
  func semaphores(_ method: StartMethod) async throws {
    let (there, back) = (try SharedSemaphore(0), try SharedSemaphore(0))
    try await withPool(method, workers: 2) { pool in
      // The application waits for a worker, and the reverse.
      let echo = pool.submit(there, back) { (there: SharedSemaphore, back: SharedSemaphore) in
        for _ in 0..<200 {
          try there.wait()
          back.signal()
        }
      }
      for round in 0..<200 {
        there.signal()
        if round.isMultiple(of: 2) {
          try blocking { try back.wait() }
        } else {
          try await back.wait()
        }
      }
      try await echo.value
      // One worker waits for another.
      let waiting = pool.submit(there) { (there: SharedSemaphore) in
        try there.wait(within: .seconds(60))
      }
      try await pool.run(there) { (there: SharedSemaphore) in there.signal() }
      #expect(try await waiting.value)
    }
    #expect(!there.tryWait() && !back.tryWait())
    #expect(try !blocking { try there.wait(within: short) })
    #expect(try await !there.wait(within: short))
    there.signal(2)
    #expect(there.tryWait())
    #expect(try blocking { try there.withPermit { 5 } } == 5)
    let six = try await there.withPermit { () async in 6 }
    #expect(six == 6)
    #expect(there.tryWait() && !there.tryWait())
  }

  @Test("a semaphore of fewer than no permits is refused")
  func semaphoreLimits() throws {
    for count in [-1, Int(Int32.max) + 1] {
      let error = #expect(throws: ProcessError.self) { try SharedSemaphore(count) }
      #expect(try configurationProblem(of: error).contains("\(count)"))
    }
  }

  @Test("waiting can be cancelled, and takes nothing then")
  func cancellation() async throws {
    let (semaphore, event) = (try SharedSemaphore(0), try SharedEvent())
    let atomic = try SharedAtomic(1)
    let tasks = [
      Task { try await semaphore.wait() }, Task { try await event.wait() },
      Task { try await atomic.wait(while: 1) },
    ]
    try await Task.sleep(for: .milliseconds(30))
    for task in tasks {
      task.cancel()
      await #expect(throws: CancellationError.self) { try await task.value }
    }
    semaphore.signal()
    #expect(semaphore.tryWait())
  }

  // MARK: - Events

  @Test("an event wakes all who wait for it", arguments: startMethods)
  func events(_ method: StartMethod) async throws {
    let (start, ready) = (try SharedEvent(), try SharedSemaphore(0))
    try await withPool(method, workers: 2) { pool in
      let tasks = (0..<2).map { _ in
        pool.submit(start, ready) { (start: SharedEvent, ready: SharedSemaphore) in
          ready.signal()
          try start.wait()
          return start.isSet
        }
      }
      for _ in 0..<2 { try await ready.wait() }
      #expect(!start.isSet)
      #expect(try !blocking { try start.wait(within: short) })
      #expect(try await !start.wait(within: short))
      start.set()
      for task in tasks { #expect(try await task.value) }
      try blocking { try start.wait() }
      try await start.wait()
      // A worker sets it for the application.
      start.clear()
      async let woken: Void = start.wait()
      try await pool.run(start) { (start: SharedEvent) in start.set() }
      try await woken
    }
  }

  // MARK: - Barriers

  @Test("a barrier keeps processes in step", arguments: startMethods)
  func barriers(_ method: StartMethod) async throws {
    let barrier = try SharedBarrier(parties: 3)
    let counts = try SharedArray<Int>(count: 2)
    #expect(barrier.parties == 3)
    try await withPool(method, workers: 2) { pool in
      let tasks = (0..<2).map { party in
        pool.submit(barrier, counts, party) {
          (barrier: SharedBarrier, counts: SharedArray<Int>, party: Int) in
          for _ in 0..<50 {
            counts[party] += 1
            try barrier.wait()
            try barrier.wait()
          }
        }
      }
      for round in 1...50 {
        let index = try await barrier.wait()
        #expect((0..<3).contains(index))
        #expect(Array(counts) == [round, round])
        try blocking { _ = try barrier.wait() }
      }
      for task in tasks { try await task.value }
    }
  }

  @Test("a barrier that is given up is closed for all, until it is reset", arguments: startMethods)
  func brokenBarrier(_ method: StartMethod) async throws {
    let barrier = try SharedBarrier(parties: 2)
    #expect(throws: ProcessError.self) { try barrier.wait(within: short) }
    #expect(isClosed { try barrier.wait() })
    barrier.reset()
    let waiting = Task { try await barrier.wait() }
    waiting.cancel()
    await #expect(throws: CancellationError.self) { try await waiting.value }
    barrier.abort()
    #expect(isClosed { try barrier.wait() })
    let error = #expect(throws: ProcessError.self) { try SharedBarrier(parties: 0) }
    #expect(try configurationProblem(of: error).contains("0 parties"))
  }

  @Test("a party that dies breaks the round that others wait in", arguments: startMethods)
  func deadParty(_ method: StartMethod) async throws {
    let barrier = try SharedBarrier(parties: 3)
    let pid = try SharedAtomic<Int32>(0)
    try await withPool(method, workers: 1) { pool in
      let dying = pool.submit(barrier, pid) {
        (barrier: SharedBarrier, pid: SharedAtomic<Int32>) in
        pid.store(getpid())
        pid.notifyAll()
        try barrier.wait()
      }
      try await pid.wait(while: 0)
      let waiting = Task { try await barrier.wait(within: .seconds(60)) }
      // The third party never comes. Whether the worker has arrived yet is not to be seen; then it arrives late.
      try await Task.sleep(for: .milliseconds(100))
      kill(pid.load(), SIGKILL)
      await #expect(throws: ProcessError.self) { try await dying.value }
      let error = await #expect(throws: ProcessError.self) { try await waiting.value }
      guard case .closed? = error else { throw UnexpectedError() }
      #expect(isClosed { try barrier.wait() })
      barrier.reset()
      let others = (0..<2).map { _ in Task { try await barrier.wait() } }
      let last = try await pool.run(barrier) { (barrier: SharedBarrier) in try barrier.wait() }
      #expect(try await Set([last, others[0].value, others[1].value]) == [0, 1, 2])
    }
  }

  private func isClosed(_ body: () throws -> Int) -> Bool {
    do {
      _ = try body()
      return false
    } catch ProcessError.closed {
      return true
    } catch {
      return false
    }
  }

  // MARK: - Atomics

  @Test("atomics add up, whatever their type", arguments: startMethods)
  func atomics(_ method: StartMethod) async throws {
    let wide = try SharedAtomic<Int>(0)
    let narrow = try SharedAtomic<UInt32>(.max)
    let flag = try SharedAtomic(false)
    try await withPool(method, workers: 3) { pool in
      try await pool.forEach((0..<12).map { _ in (wide, narrow, flag) }) {
        (wide: SharedAtomic<Int>, narrow: SharedAtomic<UInt32>, flag: SharedAtomic<Bool>) in
        for _ in 0..<1_000 {
          wide.add(2)
          wide.subtract(1)
          narrow.add(1)
        }
        flag.store(true)
        flag.notifyAll()
      }
      #expect(wide.load() == 12_000)
      #expect(narrow.load() == 11_999)
      try await flag.wait(while: false)
      #expect(flag.load())
    }
    #expect(!flag.wait(while: true, within: short))
    #expect(try await !flag.wait(while: true, within: short))
  }

  @Test("every operation of an atomic gives what was there before")
  func operations() throws {
    let atomic = try SharedAtomic<Int32>(-5)
    #expect(atomic.exchange(6) == -5)
    #expect(atomic.compareExchange(expected: 6, desired: -7) == (true, 6))
    #expect(atomic.compareExchange(expected: 6, desired: 1) == (false, -7))
    #expect(atomic.max(3) == -7)
    #expect(atomic.min(-2) == 3)
    #expect(atomic.bitwiseOr(1) == -2)
    #expect(atomic.bitwiseAnd(0xFF) == -1)
    #expect(atomic.bitwiseXor(0xF0) == 0xFF)
    #expect(atomic.load() == 0x0F)
    #expect(atomic.add(.max) == 0x0F)
    #expect(atomic.load() == Int32.max &+ 0x0F)
    let long = try SharedAtomic<UInt64>(.max)
    #expect(long.add(1) == .max && long.load() == 0)
    #expect(long.subtract(1) == 0 && long.load() == .max)
  }

  @Test("a grandchild has the same objects", arguments: startMethods)
  func grandchildren(_ method: StartMethod) async throws {
    let (counter, event) = (try SharedAtomic(0), try SharedEvent())
    let child = try ChildProcess(counter, event, method.rawValue, options: ProcessOptions(method)) {
      (counter: SharedAtomic<Int>, event: SharedEvent, method: String) async throws in
      counter.add(1)
      let options = ProcessOptions(startMethod: StartMethod(rawValue: method) ?? .spawn)
      try await ChildProcess(counter, event, options: options) {
        (counter: SharedAtomic<Int>, event: SharedEvent) in
        counter.add(10)
        event.set()
      }.value
    }
    try await event.wait()
    try await child.value
    #expect(counter.load() == 11)
  }
}
