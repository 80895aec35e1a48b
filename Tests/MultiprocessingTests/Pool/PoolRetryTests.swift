// Tasks that are tried again.

import Multiprocessing
import Testing

@Suite("Tasks that are tried again", .serialized, .timeLimit(.minutes(2)))
struct PoolRetryTests {
  private struct Flaky: Error, Codable, Equatable { var attempt: Int32 }

  /// Crashes, or throws, in its first so many attempts; then tells how many there were.
  private static let crashing: @Sendable (SharedFlags, Int32) -> Int32 = { attempts, failures in
    attempts[0] += 1
    if attempts[0] <= failures { Crash.killed.perform() }
    return attempts[0]
  }
  private static let throwing: @Sendable (SharedFlags, Int32) throws -> Int32 = {
    attempts, failures in
    attempts[0] += 1
    if attempts[0] <= failures { throw Flaky(attempt: attempts[0]) }
    return attempts[0]
  }

  @Test("a task whose worker dies is run again, so many times in all", arguments: startMethods)
  func afterCrash(_ method: StartMethod) async throws {
    try await withPool(method, { $0.retry = .afterCrash(max: 3) }) { pool async throws in
      let attempts = try SharedFlags(count: 1)
      #expect(try await pool.run(attempts, 2, body: Self.crashing) == 3)
      #expect(pool.statistics.crashed == 0)
      #expect(pool.statistics.retries == 2)
      attempts[0] = 0
      let error = await #expect(throws: ProcessError.self) {
        try await pool.run(attempts, 99, body: Self.crashing)
      }
      let report = try crashReport(of: error)
      #expect(report.attempts == 3)
      #expect(attempts[0] == 3)
      #expect(pool.statistics.crashed == 1)
      // An error of the body's own is no crash.
      attempts[0] = 0
      await #expect(throws: Flaky(attempt: 1)) {
        try await pool.run(attempts, 1, body: Self.throwing)
      }
      #expect(pool.statistics.addsUp)
    }
  }

  @Test(
    "a task that throws is run again after a pause, where it is asked for", arguments: startMethods)
  func afterError(_ method: StartMethod) async throws {
    let clock = ContinuousClock()
    try await withPool(
      method,
      {
        $0.retry = .afterError(
          max: 4, backoff: .exponential(initial: .milliseconds(20), factor: 2, limit: .seconds(1)),
          where: { ($0 as? Flaky)?.attempt != 3 })
      }
    ) { pool async throws in
      let attempts = try SharedFlags(count: 1)
      let start = clock.now
      #expect(try await pool.run(attempts, 2, body: Self.throwing) == 3)
      #expect(clock.now - start >= .milliseconds(60))
      #expect(pool.statistics.retries == 2)
      attempts[0] = 0
      await #expect(throws: Flaky(attempt: 3)) {
        try await pool.run(attempts, 99, body: Self.throwing)
      }
      #expect(pool.statistics.failed == 1)
      #expect(pool.statistics.addsUp)
    }
  }

  @Test(
    "in a map a poisoned input is reported with its index and attempts", arguments: startMethods)
  func poison(_ method: StartMethod) async throws {
    try await withPool(method, { $0.retry = .afterCrash(max: 3) }) { pool async throws in
      let error = await #expect(throws: ProcessError.self) {
        try await pool.map(0..<10_000) { (n: Int) -> Int in
          if n == 4_321 { Crash.killed.perform() }
          return n
        }
      }
      let report = try crashReport(of: error)
      #expect(report.taskIndex == 4_321)
      #expect(report.attempts == 3)
      #expect(pool.statistics.crashed == 1)
      #expect(pool.statistics.restarts == 3)
      #expect(pool.statistics.addsUp)
    }
  }

  @Test(
    "a map whose inputs crash once each still gives every result", arguments: startMethods,
    [1, 16, 500])
  func mapWithRetries(_ method: StartMethod, _ chunk: Int) async throws {
    try await withPool(
      method,
      {
        $0.retry = .afterCrash(max: 2)
        $0.chunkSize = .fixed(chunk)
      }
    ) { pool async throws in
      let crashed = try SharedFlags(count: 500)
      let inputs = (0..<500).map { (crashed, $0) }
      let results = try await pool.map(inputs) { (crashed: SharedFlags, n: Int) -> Int in
        if n % 50 == 7, crashed[n] == 0 {
          crashed[n] = 1
          Crash.killed.perform()
        }
        return n + 1
      }
      #expect(results == Array(1...500))
      #expect(pool.statistics.retries == 10)
      #expect(pool.statistics.succeeded == 500)
      #expect(pool.statistics.addsUp)
    }
  }

  @Test("cancelling ends a task that waits for its next attempt")
  func cancelledBetween() async throws {
    try await withPool(
      .forkServer,
      {
        $0.retry = .afterError(max: 5, backoff: .constant(.seconds(1_000)))
      }
    ) { pool async throws in
      let attempts = try SharedFlags(count: 1)
      let task = pool.submit(attempts, 99, body: Self.throwing)
      try await until { pool.statistics.retries == 1 }
      #expect(task.state == .pending)
      task.cancel()
      await #expect(throws: CancellationError.self) { try await task.value }
      let other = pool.submit(attempts, 99, body: Self.throwing)
      try await until { pool.statistics.retries == 2 }
      await pool.shutdown()
      await #expect(throws: (any Error).self) { try await other.value }
      #expect(pool.statistics.addsUp && pool.statistics.pending == 0)
    }
  }

  @Test("attempts and factors that make no sense are refused")
  func nonsense() throws {
    for retry: ProcessPool.Configuration.Retry in [
      .afterCrash(max: 0), .afterError(max: -1),
      .afterError(max: 2, backoff: .exponential(factor: .nan)),
    ] {
      _ = try configurationProblem(
        of: #expect(throws: ProcessError.self) {
          try ProcessPool(workers: 1, configuration: .init { $0.retry = retry })
        })
    }
  }
}
