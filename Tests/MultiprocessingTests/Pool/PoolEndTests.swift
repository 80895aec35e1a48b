// How a pool ends: drained, shut down, dropped, or left with an error.

import Glibc
import Multiprocessing
import Testing

private struct OwnError: Error, Equatable {}

@Suite("The end of a pool", .serialized, .timeLimit(.minutes(2)))
struct PoolEndTests {
  private func makePool(_ method: StartMethod, workers: Int = 2) throws -> ProcessPool {
    try ProcessPool(workers: workers, configuration: .init { $0.startMethod = method })
  }

  /// A body that tells its process and goes on until it is cancelled.
  private static let untilCancelled: @Sendable (SharedFlags) throws -> Int = { flags in
    flags[0] = getpid()
    while !Task.isCancelled { usleep(500) }
    throw CancellationError()
  }

  @Test("drain finishes what was accepted, then ends the workers", arguments: startMethods)
  func drain(_ method: StartMethod) async throws {
    let pool = try makePool(method, workers: 1)
    let flags = try SharedFlags(count: 1)
    let tasks = (0..<6).map { index in
      Task {
        try await pool.run(index, flags) { (n: Int, flags: SharedFlags) -> Int in
          while flags[0] == 0 { usleep(500) }
          return n * 2
        }
      }
    }
    try await until { pool.statistics.submitted == 6 }
    let workers = pool.workers.map(\.processIdentifier)
    let drained = Task { await pool.drain() }
    // Nothing can be accepted any more before the first task ends.
    while true {
      do { _ = try await pool.run(timeout: .milliseconds(1)) { 1 } } catch  where isClosed(error) {
        break
      } catch {}
    }
    flags[0] = 1
    await drained.value
    var results: [Int] = []
    for task in tasks { results.append(try await task.value) }
    #expect(results == (0..<6).map { $0 * 2 })
    #expect(!workers.contains(where: isAlive))
    #expect(pool.statistics.succeeded == 6)
    #expect(pool.statistics.pending == 0)
  }

  /// An argument that takes its time.
  private struct SlowlyEncoded: Transferable {
    let flags: SharedFlags

    init(_ flags: SharedFlags) { self.flags = flags }

    func encode(to encoder: any Encoder) throws {
      flags[1] = 1
      while flags[2] == 0 { usleep(500) }
      var container = encoder.singleValueContainer()
      try container.encode(flags)
    }

    init(from decoder: any Decoder) throws {
      flags = try decoder.singleValueContainer().decode(SharedFlags.self)
    }
  }

  @Test("what is submitted during a shutdown ends with it", arguments: startMethods)
  func submittedDuringShutdown(_ method: StartMethod) async throws {
    let pool = try makePool(method)
    // [the first body's process, the argument is being encoded, and may end, the first body may end]
    let flags = try SharedFlags(count: 4)
    let first = Task {
      try await pool.run(flags) { (flags: SharedFlags) -> Bool in
        flags[0] = getpid()
        while !Task.isCancelled { usleep(500) }
        flags[2] = 1
        while flags[3] == 0 { usleep(500) }
        return true
      }
    }
    let second = Task {
      try await pool.run(SlowlyEncoded(flags)) { _ in
        while !Task.isCancelled { usleep(500) }
        throw CancellationError()
      }
    }
    try await until { flags[0] != 0 && flags[1] != 0 }
    // The second task is submitted between the cancellation of the first and its end.
    let end = Task { await pool.shutdown(grace: .seconds(1_000)) }
    await #expect(throws: (any Error).self) { try await second.value }
    flags[3] = 1
    _ = try? await first.value
    await end.value
    #expect(pool.statistics.pending == 0)
  }

  @Test("shutdown cancels what runs and what waits, then ends the workers", arguments: startMethods)
  func shutdown(_ method: StartMethod) async throws {
    let pool = try makePool(method, workers: 1)
    let flags = try SharedFlags(count: 1)
    let tasks = (0..<3).map { _ in Task { try await pool.run(flags, body: Self.untilCancelled) } }
    try await until { pool.statistics.submitted == 3 && flags[0] != 0 }
    await pool.shutdown()
    for task in tasks { await #expect(throws: CancellationError.self) { try await task.value } }
    #expect(!isAlive(flags[0]))
    #expect(pool.statistics.cancelled == 3)
    #expect(pool.statistics.pending == 0)
  }

  @Test("shutdown kills a body that does not end within its grace", arguments: startMethods)
  func shutdownStubborn(_ method: StartMethod) async throws {
    let pool = try makePool(method, workers: 1)
    let flags = try SharedFlags(count: 1)
    let task = Task {
      try await pool.run(flags) { (flags: SharedFlags) -> Int in
        flags[0] = getpid()
        while true { usleep(500) }
      }
    }
    try await until { flags[0] != 0 }
    await pool.shutdown(grace: .milliseconds(100))
    #expect(!isAlive(flags[0]))
    await #expect(throws: (any Error).self) { try await task.value }
    #expect(pool.statistics.pending == 0)
    #expect(pool.statistics.addsUp)
  }

  @Test("a pool that has ended refuses work", arguments: startMethods, [true, false])
  func closed(_ method: StartMethod, _ drains: Bool) async throws {
    let pool = try makePool(method)
    let workers = pool.workers.map(\.processIdentifier)
    if drains { await pool.drain() } else { await pool.shutdown() }
    #expect(!workers.contains(where: isAlive))
    let errors: [ProcessError?] = [
      await #expect(throws: ProcessError.self) { try await pool.run(1) { $0 } },
      await #expect(throws: ProcessError.self) { try await pool.map([1]) { $0 } },
      await #expect(throws: ProcessError.self) { try await pool.forEach([1]) { _ in } },
      await #expect(throws: ProcessError.self) { try await pool.broadcast { 1 } },
    ]
    #expect(errors.allSatisfy { $0.map(isClosed) == true }, "\(errors)")
    #expect(pool.workers.allSatisfy { $0.state == .dead })
    #expect(pool.statistics.isUntouched)
    // Ending it again is no error.
    await pool.drain()
    await pool.shutdown()
  }

  @Test("a pool that is dropped ends its workers", arguments: startMethods)
  func dropped(_ method: StartMethod) async throws {
    func workers() throws -> [pid_t] { try makePool(method).workers.map(\.processIdentifier) }
    let identifiers = try workers()
    #expect(identifiers.count == 2)
    try await until { !identifiers.contains(where: isAlive) }
  }

  @Test("withProcessPool drains when its body returns", arguments: startMethods)
  func leavingNormally(_ method: StartMethod) async throws {
    let flags = try SharedFlags(count: 1)
    let (task, workers) = try await withPool(method, workers: 1) { pool in
      let task = Task {
        try await pool.run(flags) { (flags: SharedFlags) -> Int in
          flags[0] = 1
          usleep(50_000)
          return 7
        }
      }
      try await until { flags[0] == 1 }
      return (task, pool.workers.map(\.processIdentifier))
    }
    #expect(!workers.contains(where: isAlive))
    #expect(try await task.value == 7)
  }

  @Test("withProcessPool shuts down when an error leaves it", arguments: startMethods)
  func leavingByError(_ method: StartMethod) async throws {
    let flags = try SharedFlags(count: 1)
    var task: Task<Int, any Error>?
    await #expect(throws: OwnError()) {
      try await withPool(method, workers: 1) { pool in
        task = Task { try await pool.run(flags, body: Self.untilCancelled) }
        try await until { flags[0] != 0 }
        throw OwnError()
      }
    }
    #expect(!isAlive(flags[0]))
    let running = try #require(task)
    await #expect(throws: CancellationError.self) { try await running.value }
  }

  @Test("withProcessPool shuts down when its task is cancelled", arguments: startMethods)
  func leavingCancelled(_ method: StartMethod) async throws {
    let flags = try SharedFlags(count: 1)
    let task = Task {
      try await withPool(method, workers: 1) { pool in
        try await pool.run(flags, body: Self.untilCancelled)
      }
    }
    try await until { flags[0] != 0 }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(!isAlive(flags[0]))
  }

  @Test(
    "a map that is under way when its pool is drained completes", arguments: startMethods, [1, 2])
  func mapWhileDraining(_ method: StartMethod, _ workers: Int) async throws {
    try await withPool(
      method, workers: workers,
      {
        $0.maxTasksPerWorker = 3
        $0.retry = .afterCrash(max: 2)
      }
    ) { pool async throws in
      let began = try SharedFlags(count: 1)
      // An input that takes its time, so that now and then nothing is pending.
      let inputs = (0..<60).lazy.map { n -> (SharedFlags, Int) in
        usleep(500)
        return (began, n)
      }
      let map = Task {
        try await pool.map(inputs) { (began: SharedFlags, n: Int) -> Int in
          began[0] += 1
          if n == 31, began[0] < 1_000 {
            began[0] = 1_000
            Crash.killed.perform()
          }
          return n
        }
      }
      try await until { began[0] > 0 }
      await pool.drain()
      #expect(try await map.value == Array(0..<60))
      #expect(pool.statistics.addsUp && pool.statistics.succeeded == 60)
    }
  }
}
