// Submitted tasks: what Python's Future and as_completed are.

import Glibc
import Multiprocessing
import Testing

@Suite("Submitted tasks", .serialized, .timeLimit(.minutes(2)))
struct PoolTaskTests {
  /// Runs until its first flag is raised.
  private static let untilReleased: @Sendable (SharedFlags) throws -> Int = { flags in
    flags[1] = 1
    while flags[0] == 0 { usleep(200) }
    return 7
  }

  struct Triple: ProcessTask {
    var number: Int
    func run() async throws -> Int { number * 3 }
  }

  final class Box: Codable, Sendable {
    let number: Int
    init(number: Int) { self.number = number }
  }

  @Test("every form of body runs and gives its result", arguments: startMethods)
  func forms(_ method: StartMethod) async throws {
    try await withPool(method) { pool async throws in
      #expect(try await pool.submit { 1 }.value == 1)
      #expect(try await pool.submit(2, 3) { $0 * $1 }.value == 6)
      #expect(try await pool.submit("a") { (s: String) async -> String in s + "b" }.value == "ab")
      let pair = try await pool.submit(5) { (n: Int) -> (Int, String) in (n, "\(n)") }.value
      #expect(pair == (5, "5"))
      #expect(try await pool.submit(Triple(number: 4)).value == 12)
      try await pool.submit(1) { (_: Int) in }.value
      #expect(
        try await pool.submit(1) { (n: Int) async -> (Int, Int) in (n, n + 1) }.value == (1, 2))
    }
  }

  @Test("a task tells its state: pending, running, and how it ended", arguments: startMethods)
  func states(_ method: StartMethod) async throws {
    try await withPool(method, workers: 1) { pool async throws in
      let flags = try SharedFlags(count: 2)
      let first = pool.submit(flags, body: Self.untilReleased)
      let second = pool.submit(1) { $0 + 1 }
      try await until { flags[1] == 1 }
      #expect(first.state == .running)
      #expect(second.state == .pending)
      second.cancel()
      await #expect(throws: CancellationError.self) { try await second.value }
      #expect(second.state == .cancelled)
      flags[0] = 1
      #expect(try await first.value == 7)
      #expect(first.state == .succeeded)
      let failed = pool.submit(1) { (_: Int) throws -> Int in
        throw RemoteError(typeName: "T", message: "m")
      }
      _ = await failed.result
      #expect(failed.state == .failed)
    }
  }

  @Test("waiting with a limit leaves the task running", arguments: startMethods)
  func waitingLimit(_ method: StartMethod) async throws {
    try await withPool(method) { pool async throws in
      let flags = try SharedFlags(count: 2)
      let task = pool.submit(flags, body: Self.untilReleased)
      let error = await #expect(throws: ProcessError.self) {
        try await task.value(within: .milliseconds(20))
      }
      guard case .timedOut? = error else { throw UnexpectedError() }
      #expect(task.state != .failed)
      flags[0] = 1
      #expect(try await task.value(within: .seconds(60)) == 7)
    }
  }

  @Test("cancelling who waits does not cancel the task", arguments: startMethods)
  func cancelledWaiter(_ method: StartMethod) async throws {
    try await withPool(method) { pool async throws in
      let flags = try SharedFlags(count: 2)
      let task = pool.submit(flags, body: Self.untilReleased)
      let waiter = Task { try await task.value }
      waiter.cancel()
      await #expect(throws: CancellationError.self) { try await waiter.value }
      flags[0] = 1
      #expect(try await task.value == 7)
    }
  }

  @Test("a deadline ends the task", arguments: startMethods)
  func deadline(_ method: StartMethod) async throws {
    try await withPool(method) { pool async throws in
      let task = pool.submit(1, timeout: .milliseconds(20)) { (_: Int) throws -> Int in
        while !Task.isCancelled { usleep(500) }
        throw CancellationError()
      }
      let error = await #expect(throws: ProcessError.self) { try await task.value }
      guard case .timedOut? = error else { throw UnexpectedError() }
      #expect(pool.statistics.failed == 1)
    }
  }

  @Test("many may wait for one task and get the same object")
  func manyWaiters() async throws {
    try await withPool { pool async throws in
      let task = pool.submit(3) { Box(number: $0) }
      let values = try await withThrowingTaskGroup(of: Box.self) { group in
        for _ in 0..<10 { group.addTask { try await task.value } }
        return try await group.reduce(into: [Box]()) { $0.append($1) }
      }
      #expect(values.count == 10 && values.allSatisfy { $0 === values[0] && $0.number == 3 })
    }
  }

  @Test("what keeps a task from being sent comes out of its value")
  func refusals() async throws {
    try await withPool { pool async throws in
      let captured = Int.random(in: 1...9)
      let task = pool.submit(1) { $0 + captured }
      _ = try transferFailure(of: await #expect(throws: ProcessError.self) { try await task.value })
      #expect(task.state == .failed)
      task.cancel()
      await pool.shutdown()
      let late = pool.submit(1) { $0 + 1 }
      await #expect { try await late.value } throws: { isClosed($0) }
    }
  }

  @Test("tasks come in the order in which they complete, each once")
  func asCompleted() async throws {
    try await withPool(workers: 2) { pool async throws in
      let flags = try SharedFlags(count: 2)
      let slow = pool.submit(flags, body: Self.untilReleased)
      let fast = (0..<20).map { pool.submit($0) { $0 * 2 } }
      var ended: [PoolTask<Int>] = []
      for await task in PoolTask.asCompleted([slow] + fast) {
        ended.append(task)
        if ended.count == 20 { flags[0] = 1 }
      }
      #expect(ended.count == 21)
      #expect(ended.last === slow)
      #expect(Set(ended.map(\.id)).count == 21)
      for await _ in PoolTask<Int>.asCompleted([]) { Issue.record("there is no task") }
    }
  }

  @Test("ten thousand tasks at once all end, and the pool outlives its last name")
  func manyTasks() async throws {
    var pool: ProcessPool? = try ProcessPool(workers: 2)
    let tasks = (0..<10_000).map { pool!.submit($0) { $0 + 1 } }
    pool = nil
    var sum = 0
    for task in tasks { sum += try await task.value }
    #expect(sum == (1...10_000).reduce(0, +))
  }
}
