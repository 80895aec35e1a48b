// Serial mode: the same calls without processes.

import Glibc
import Multiprocessing
import Testing

@Suite("Serial mode", .timeLimit(.minutes(2)))
struct PoolInProcessTests {
  private struct Sad: Error, Codable, Equatable { var number: Int }

  private struct Place: Sendable { var name: String }

  private func withSerialPool<R>(
    _ configure: (inout ProcessPool.Configuration) -> Void = { _ in },
    body: (ProcessPool) async throws -> R
  ) async throws -> R {
    try await withPool(
      .forkServer, workers: 3,
      {
        $0.execution = .inProcess
        configure(&$0)
      }, body: body)
  }

  @Test("every call gives what it gives with processes")
  func calls() async throws {
    try await withSerialPool { pool async throws in
      #expect(try await pool.run { getpid() } == getpid())
      #expect(
        try await pool.run(2, "x") { (n: Int, s: String) async -> String in "\(n)\(s)" } == "2x")
      #expect(try await pool.map(0..<100) { $0 * 2 } == (0..<100).map { $0 * 2 })
      #expect(
        try await pool.map(zip(0..<3, ["a", "b", "c"])) { "\($0)\($1)" } == ["0a", "1b", "2c"])
      try await pool.forEach(0..<5) { _ in }
      #expect(try await pool.results(of: 0..<50) { $0 + 1 }.reduce(0, +) == 1275)
      #expect(try await pool.submit(4) { $0 * $0 }.value == 16)
      #expect(try await pool.broadcast { getpid() } == [getpid(), getpid(), getpid()])
      try await pool.warmUp()
      await pool.resize(to: 2)
      #expect(pool.workerCount == 2)
      var failed: [Int] = []
      for await (index, result) in pool.outcomes(
        of: 0..<9,
        body: { (n: Int) throws -> Int in
          if n % 4 == 1 { throw Sad(number: n) }
          return n
        }) where (try? result.get()) == nil
      { failed.append(index) }
      #expect(failed.sorted() == [1, 5])
      #expect(pool.statistics.failed == 2)
      #expect(pool.statistics.addsUp && pool.statistics.pending == 0)
    }
  }

  @Test("errors, refusals, cancellation, retries and deadlines are the same")
  func failures() async throws {
    try await withSerialPool({ $0.retry = .afterError(max: 3, backoff: .constant(.zero)) }) {
      pool async throws in
      await #expect(throws: Sad(number: 1)) {
        try await pool.run { () throws -> Int in throw Sad(number: 1) }
      }
      #expect(pool.statistics.retries == 2)
      let captured = Int.random(in: 1...9)
      _ = try transferFailure(
        of: await #expect(throws: ProcessError.self) { try await pool.run { captured } })
      let error = await #expect(throws: ProcessError.self) {
        try await pool.run(timeout: .milliseconds(20)) { () async throws -> Int in
          try await Task.sleep(for: .seconds(1_000))
          return 1
        }
      }
      guard case .timedOut? = error else { throw UnexpectedError() }
      let task = Task {
        try await pool.run { () async throws -> Int in
          try await Task.sleep(for: .seconds(1_000))
          return 1
        }
      }
      task.cancel()
      await #expect(throws: CancellationError.self) { try await task.value }
    }
  }

  @Test("onWorkerStart runs once, before the first task, and its failure ends the pool")
  func workerStart() async throws {
    try await withSerialPool({
      $0.onWorkerStart = WorkerBody { WorkerState<Place>.set(Place(name: "here")) }
    }) { pool async throws in
      #expect(try await pool.run { WorkerState<Place>.current.name } == "here")
    }
    try await withSerialPool({ $0.onWorkerStart = WorkerBody { throw Sad(number: 2) } }) {
      pool async throws in
      await #expect(throws: Sad(number: 2)) { try await pool.run { 1 } }
      await #expect(throws: Sad(number: 2)) { try await pool.map(0..<3) { $0 } }
    }
  }

  @Test("many callers at once take turns")
  func manyCallers() async throws {
    try await withSerialPool { pool async throws in
      let sum = try await withThrowingTaskGroup(of: Int.self) { group in
        for number in 0..<200 { group.addTask { try await pool.run(number) { $0 } } }
        return try await group.reduce(0, +)
      }
      #expect(sum == 199 * 100)
      let running = pool.submit { () async throws -> Int in
        try await Task.sleep(for: .seconds(1_000))
        return 1
      }
      let waiting = pool.submit { 2 }
      await pool.shutdown()
      await #expect(throws: (any Error).self) { try await running.value }
      await #expect(throws: (any Error).self) { try await waiting.value }
      #expect(pool.statistics.addsUp && pool.statistics.pending == 0)
    }
  }
}
