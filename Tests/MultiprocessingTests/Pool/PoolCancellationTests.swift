// Cancelling a call, and deadlines: both end the work, not only the waiting.

import Glibc
import Synchronization
import Testing

@testable import Multiprocessing

private struct FirstFailure: Error {}

@Suite("Cancellation and deadlines", .serialized, .timeLimit(.minutes(2)))
struct PoolCancellationTests {
  /// Tells that it runs, and then that it has seen its cancellation.
  private static let untilCancelled: @Sendable (SharedFlags) throws -> Int = { flags in
    flags[0] = 1
    while !Task.isCancelled { usleep(500) }
    flags[1] = 1
    throw CancellationError()
  }

  @Test(
    "cancelling run ends a synchronous body, and returns when it has ended", arguments: startMethods
  )
  func cancelSynchronous(_ method: StartMethod) async throws {
    try await withPool(method) { pool in
      let flags = try SharedFlags(count: 2)
      let task = Task { try await pool.run(flags, body: Self.untilCancelled) }
      try await until { flags[0] == 1 }
      task.cancel()
      await #expect(throws: CancellationError.self) { try await task.value }
      #expect(flags[1] == 1)
      #expect(pool.statistics.cancelled == 1)
      #expect(pool.statistics.restarts == 0)
      #expect(try await pool.broadcast { Task.isCancelled } == [false, false])
    }
  }

  @Test("cancelling run wakes an asynchronous body", arguments: startMethods)
  func cancelAsynchronous(_ method: StartMethod) async throws {
    try await withPool(method) { pool in
      let flags = try SharedFlags(count: 2)
      let task = Task {
        try await pool.run(flags) { (flags: SharedFlags) async throws -> Int in
          flags[0] = 1
          defer { flags[1] = 1 }
          try await Task.sleep(for: .seconds(1_000))
          return 1
        }
      }
      try await until { flags[0] == 1 }
      task.cancel()
      await #expect(throws: CancellationError.self) { try await task.value }
      #expect(flags[1] == 1)
      #expect(pool.statistics.cancelled == 1)
      #expect(try await pool.run(1) { $0 + 1 } == 2)
    }
  }

  @Test("a task that is cancelled before it calls starts nothing", arguments: startMethods)
  func cancelledBefore(_ method: StartMethod) async throws {
    try await withPool(method) { pool in
      let task = Task {
        while !Task.isCancelled { await Task.yield() }
        return try await pool.run(1) { $0 + 1 }
      }
      task.cancel()
      await #expect(throws: CancellationError.self) { try await task.value }
      #expect(pool.statistics.isUntouched)
    }
  }

  @Test("cancelling a task that waits for a worker never runs its body", arguments: startMethods)
  func cancelWaiting(_ method: StartMethod) async throws {
    try await withPool(method, workers: 1) { pool in
      let flags = try SharedFlags(count: 2)
      let second = try SharedFlags(count: 2)
      let running = try await holdWorker(of: pool, flags)
      let waiting = Task { try await pool.run(second, body: Self.untilCancelled) }
      try await until { pool.statistics.submitted == 2 }
      waiting.cancel()
      await #expect(throws: CancellationError.self) { try await waiting.value }
      flags[1] = 1
      #expect(try await running.value == 5)
      #expect(second[0] == 0)
      #expect(pool.statistics.cancelled == 1)
      #expect(pool.statistics.succeeded == 1)
    }
  }

  @Test(
    "a body that ignores its cancellation loses its process after the grace",
    arguments: startMethods)
  func ignoresCancellation(_ method: StartMethod) async throws {
    try await withPool(method, { $0.cancellationGrace = .milliseconds(200) }) { pool in
      let flags = try SharedFlags(count: 1)
      let task = Task {
        try await pool.run(flags) { (flags: SharedFlags) -> Int in
          flags[0] = getpid()
          while true { usleep(500) }
        }
      }
      try await until { flags[0] != 0 }
      let clock = ContinuousClock()
      let start = clock.now
      task.cancel()
      await #expect(throws: CancellationError.self) { try await task.value }
      #expect(clock.now - start >= .milliseconds(200))
      #expect(!isAlive(flags[0]))
      #expect(try await pool.broadcast { CurrentProcess.workerIndex } == [0, 1])
      #expect(pool.statistics.cancelled == 1)
      #expect(pool.statistics.crashed == 0)
      #expect(pool.statistics.addsUp)
    }
  }

  @Test("SIGKILL ends a body that ignores SIGTERM too", arguments: startMethods)
  func ignoresSignal(_ method: StartMethod) async throws {
    try await withPool(method, { $0.cancellationGrace = .milliseconds(50) }) { pool in
      let flags = try SharedFlags(count: 1)
      let task = Task {
        try await pool.run(flags) { (flags: SharedFlags) -> Int in
          signal(SIGTERM, SIG_IGN)
          flags[0] = getpid()
          while true { usleep(500) }
        }
      }
      try await until { flags[0] != 0 }
      task.cancel()
      await #expect(throws: CancellationError.self) { try await task.value }
      #expect(!isAlive(flags[0]))
      #expect(try await pool.run(1) { $0 + 1 } == 2)
    }
  }

  @Test("cancelling map ends what runs and what waits", arguments: startMethods)
  func cancelMap(_ method: StartMethod) async throws {
    try await withPool(method) { pool in
      let flags = try SharedFlags(count: 2)
      let task = Task {
        try await pool.map((0..<100).map { _ in flags }, body: Self.untilCancelled)
      }
      try await until { flags[0] == 1 }
      task.cancel()
      await #expect(throws: CancellationError.self) { try await task.value }
      #expect(flags[1] == 1)
      #expect(pool.statistics.succeeded == 0)
      #expect(pool.statistics.pending == 0)
      #expect(pool.statistics.addsUp)
      #expect(try await pool.map(0..<10) { $0 } == Array(0..<10))
    }
  }

  @Test(
    "cancelling map while it submits the last of its input ends that too", arguments: startMethods
  )
  func cancelWhileSubmitting(_ method: StartMethod) async throws {
    try await withPool(method, workers: 1, Self.singleItems) { pool in
      let flags = try SharedFlags(count: 2)
      let task = Task {
        // The last item cancels the task that submits it.
        let input = Self.input(flags) { n in
          if n == Self.last { unsafe withUnsafeCurrentTask { unsafe $0?.cancel() } }
        }
        return try await pool.map(input) { (flags: SharedFlags, n: Int) throws -> Int in
          n == Self.last ? try Self.untilCancelled(flags) : n
        }
      }
      await #expect(throws: CancellationError.self) { try await task.value }
      #expect(flags[0] == flags[1])
      #expect(pool.statistics.pending == 0)
      #expect(try await pool.run(1) { $0 + 1 } == 2)
    }
  }

  @Test("the first failure ends what was submitted behind it", arguments: startMethods)
  func failureEndsTheRest(_ method: StartMethod) async throws {
    try await withPool(method, workers: 1, Self.singleItems) { pool in
      let flags = try SharedFlags(count: 2)
      await #expect(throws: ProcessError.self) {
        try await pool.map(Self.input(flags)) { (flags: SharedFlags, n: Int) throws -> Int in
          if n == Self.last - 1 { throw FirstFailure() }
          return n == Self.last ? try Self.untilCancelled(flags) : n
        }
      }
      #expect(flags[0] == flags[1])
      #expect(pool.statistics.pending == 0)
    }
  }

  /// Records of one item, and nothing that ends a body that is not cancelled.
  private static let singleItems: @Sendable (inout ProcessPool.Configuration) -> Void = {
    $0.chunkSize = .fixed(1)
    $0.cancellationGrace = nil
  }

  private static let last = 40

  /// Short, and of unknown length, so that it is submitted to the end at once.
  private static func input(_ flags: SharedFlags, _ willGive: @escaping (Int) -> Void = { _ in })
    -> some Sequence<(SharedFlags, Int)>
  {
    sequence(state: 0) { n in
      n += 1
      willGive(n)
      return n <= last ? (flags, n) : nil
    }
  }

  @Test("every record that is cancelled ends, whenever that comes")
  func everyRecordEnds() async throws {
    let cancellation = RecordCancellation()
    let count: UInt64 = 30_000
    let next = Atomic<UInt64>(1)
    let turns = Atomic<UInt64>(0)
    // As the control thread: each record once, around the time at which it begins.
    let canceller = Task.detached {
      for number in 1...count {
        while next.load(ordering: .acquiring) + 1 < number { await Task.yield() }
        for _ in 0..<Int.random(in: 0..<2_000) { turns.add(1, ordering: .relaxed) }
        cancellation.cancel(number)
      }
    }
    // As the main thread: a new task whenever one was cancelled.
    var number: UInt64 = 1
    while number <= count {
      cancellation.reset()
      let task = Task<Void, Never> { try? await Task.sleep(for: .seconds(1_000)) }
      cancellation.set(task)
      repeat {
        next.store(number, ordering: .releasing)
        if cancellation.begin(number) {
          while !task.isCancelled { await Task.yield() }
        }
        cancellation.end()
        number += 1
      } while number <= count && !task.isCancelled
      task.cancel()
    }
    await canceller.value
  }

  @Test("a deadline ends the work too, and counts as a failure", arguments: startMethods)
  func deadline(_ method: StartMethod) async throws {
    try await withPool(method) { pool in
      let flags = try SharedFlags(count: 2)
      let clock = ContinuousClock()
      let start = clock.now
      let error = await #expect(throws: ProcessError.self) {
        try await pool.run(flags, timeout: .milliseconds(100), body: Self.untilCancelled)
      }
      guard case .timedOut(let limit)? = error else {
        Issue.record("\(String(describing: error))")
        return
      }
      #expect(limit == .milliseconds(100))
      #expect(clock.now - start >= .milliseconds(100))
      #expect(Array(flags) == [1, 1])
      #expect(pool.statistics.failed == 1)
      #expect(pool.statistics.cancelled == 0)
      #expect(pool.statistics.addsUp)
      #expect(try await pool.broadcast { Task.isCancelled } == [false, false])
    }
  }

  @Test("the pool's own deadline applies to tasks that name none", arguments: startMethods)
  func taskTimeout(_ method: StartMethod) async throws {
    try await withPool(method, { $0.taskTimeout = .milliseconds(50) }) { pool in
      let flags = try SharedFlags(count: 2)
      let error = await #expect(throws: ProcessError.self) {
        try await pool.run(flags, body: Self.untilCancelled)
      }
      guard case .timedOut(.milliseconds(50))? = error else {
        Issue.record("\(String(describing: error))")
        return
      }
      #expect(flags[1] == 1)
      #expect(try await pool.run(1, timeout: .seconds(1_000)) { $0 + 1 } == 2)
    }
  }

  @Test("a deadline that is not reached changes nothing", arguments: startMethods)
  func deadlineNotReached(_ method: StartMethod) async throws {
    try await withPool(method) { pool async throws in
      for n in 0..<50 {
        #expect(try await pool.run(n, timeout: .seconds(1_000)) { $0 + 1 } == n + 1)
      }
      #expect(pool.statistics.succeeded == 50)
      #expect(pool.statistics.failed == 0)
    }
  }

  @Test("the deadline of an item of a map ends the map", arguments: startMethods)
  func itemDeadline(_ method: StartMethod) async throws {
    try await withPool(method, { $0.taskTimeout = .milliseconds(500) }) { pool async throws in
      #expect(try await pool.map(0..<100) { $0 + 1 } == Array(1...100))
      let error = await #expect(throws: ProcessError.self) {
        try await pool.map(0..<100) { (n: Int) throws -> Int in
          while n == 50 { try Task.checkCancellation() }
          return n
        }
      }
      guard case .timedOut(.milliseconds(500))? = error else { throw UnexpectedError() }
      #expect(pool.statistics.addsUp && pool.statistics.pending == 0)
    }
  }

  @Test("of many outcomes only those of overdue items are timeouts", arguments: startMethods)
  func outcomeDeadlines(_ method: StartMethod) async throws {
    try await withPool(
      method,
      {
        $0.taskTimeout = .milliseconds(500)
        $0.cancellationGrace = .milliseconds(50)
      }
    ) { pool async throws in
      var overdue: Set<Int> = []
      for await (index, result) in pool.outcomes(
        of: 0..<40,
        body: { (n: Int) throws -> Int in
          // One that looks at its cancellation, one that does not, and one that is stopped.
          if n == 11 { while true { try Task.checkCancellation() } }
          if n == 22 { while true { usleep(1_000) } }
          if n == 33 { kill(getpid(), SIGSTOP) }
          return n
        })
      {
        if case .failure(ProcessError.timedOut) = result {
          overdue.insert(index)
        } else {
          #expect(try result.get() == index)
        }
      }
      #expect(overdue == [11, 22, 33])
      #expect(pool.statistics.failed == 3)
      #expect(pool.statistics.succeeded == 37)
      #expect(try await pool.broadcast { Task.isCancelled } == [false, false])
      #expect(pool.statistics.addsUp)
    }
  }
}

extension Duration {
  fileprivate static func ~= (pattern: Duration, value: Duration) -> Bool { pattern == value }
}
