// A worker that dies costs the one task that it ran.

import Glibc
import Multiprocessing
import Testing

@Suite("Crashes of workers", .serialized, .timeLimit(.minutes(2)))
struct PoolCrashTests {
  @Test(
    "of eight tasks on two workers the one that crashes fails, and the pool works on",
    arguments: startMethods, Crash.allCases)
  func oneOfEight(_ method: StartMethod, _ crash: Crash) async throws {
    try await withPool(method) { pool in
      let results = await withTaskGroup(of: (Int, Result<Int, any Error>).self) { group in
        for index in 0..<8 {
          group.addTask {
            do {
              let value = try await pool.run(index, crash) { (n: Int, crash: Crash) -> Int in
                if n == 2 { crash.perform() }
                return n * 10
              }
              return (index, .success(value))
            } catch {
              return (index, .failure(error))
            }
          }
        }
        return await group.reduce(into: [Int: Result<Int, any Error>]()) { $0[$1.0] = $1.1 }
      }
      for index in 0..<8 where index != 2 { #expect(try results[index]?.get() == index * 10) }
      guard case .failure(let error)? = results[2] else {
        Issue.record("the task that crashed has a result")
        return
      }
      let report = try crashReport(of: error)
      #expect(crash.matches(report.exitStatus), "\(report)")
      #expect("\(error)".contains(crash.mark), "\(error)")
      #expect(report.workerIndex.map { 0..<2 ~= $0 } == true)
      #expect(report.processIdentifier > 0 && report.processIdentifier != getpid())
      #expect(try await pool.map(0..<100) { $0 + 1 } == Array(1...100))
      #expect(try await pool.broadcast { CurrentProcess.workerIndex } == [0, 1])
      let statistics = pool.statistics
      #expect(statistics.crashed == 1)
      #expect(statistics.restarts == 1)
      #expect(statistics.succeeded == 7 + 100 + 2)
      #expect(statistics.pending == 0)
      #expect(statistics.addsUp)
    }
  }

  @Test("a crash in a map names its input and cancels the rest", arguments: startMethods)
  func crashInMap(_ method: StartMethod) async throws {
    try await withPool(method) { pool in
      let error = await #expect(throws: ProcessError.self) {
        try await pool.map(0..<1_000_000) { (n: Int) -> Int in
          if n == 1_237 { Crash.killed.perform() }
          return n
        }
      }
      let report = try crashReport(of: error)
      #expect(report.taskIndex == 1_237)
      #expect(report.exitStatus == .signaled(.kill, coreDumped: false))
      #expect(error?.description.contains("input 1237") == true)
      let statistics = pool.statistics
      #expect(statistics.crashed == 1)
      #expect(statistics.succeeded >= 1)
      #expect(statistics.pending == 0)
      #expect(statistics.addsUp)
      #expect(try await pool.map(["a", "b"]) { $0 + "!" } == ["a!", "b!"])
    }
  }

  @Test("the items of a chunk before the one that crashes have succeeded", arguments: startMethods)
  func crashInChunk(_ method: StartMethod) async throws {
    try await withPool(method, workers: 1, { $0.chunkSize = .fixed(10) }) { pool in
      let ran = try SharedFlags(count: 20)
      let error = await #expect(throws: ProcessError.self) {
        try await pool.map(zip(0..<20, (0..<20).map { _ in ran })) {
          (n: Int, ran: SharedFlags) -> Int in
          ran[n] += 1
          if n == 4 { Crash.killed.perform() }
          return n
        }
      }
      #expect(try crashReport(of: error).taskIndex == 4)
      #expect(pool.statistics.crashed == 1)
      // No item ran twice: nothing is tried again.
      #expect(Array(ran).allSatisfy { $0 <= 1 }, "\(Array(ran))")
      #expect(Array(ran.indices.prefix(5)).allSatisfy { ran[$0] == 1 })
      #expect(pool.statistics.succeeded >= 4)
      #expect(pool.statistics.addsUp)
    }
  }

  @Test("results that outgrew the ring before a crash have succeeded", arguments: startMethods)
  func crashAfterLargeResults(_ method: StartMethod) async throws {
    try await withPool(method, workers: 1, { $0.chunkSize = .fixed(8) }) { pool async throws in
      let error = await #expect(throws: ProcessError.self) {
        try await pool.map(0..<8) { (n: Int) -> [UInt8] in
          if n == 6 { Crash.killed.perform() }
          return [UInt8](repeating: UInt8(n), count: n % 3 == 2 ? 300_000 : n)
        }
      }
      #expect(try crashReport(of: error).taskIndex == 6)
      #expect(pool.statistics.crashed == 1)
      #expect(pool.statistics.succeeded == 6)
      #expect(pool.statistics.addsUp)
    }
  }

  @Test("a record that brought results is not run again, whatever its dead worker says")
  func falseAcceptance() async throws {
    try await withPool(.forkServer, workers: 1, { $0.chunkSize = .fixed(8) }) { pool async throws in
      let ran = try SharedFlags(count: 8)
      let error = await #expect(throws: ProcessError.self) {
        try await pool.map(zip(0..<8, (0..<8).map { _ in ran })) {
          (n: Int, ran: SharedFlags) -> [UInt8] in
          ran[n] += 1
          if n == 6 {
            falsifyAccepted()
            Crash.killed.perform()
          }
          return [UInt8](repeating: UInt8(n), count: n == 2 ? 300_000 : n)
        }
      }
      #expect(try crashReport(of: error).taskIndex == 6)
      #expect(Array(ran) == [1, 1, 1, 1, 1, 1, 1, 0])
      #expect(pool.statistics.succeeded == 6)
      #expect(pool.statistics.addsUp)
    }
  }

  @Test(
    "a worker killed while it is idle is replaced, and no task is lost", arguments: startMethods)
  func killedWhileIdle(_ method: StartMethod) async throws {
    try await withPool(method) { pool in
      try await pool.warmUp()
      let victim = pool.workers[0].processIdentifier
      kill(victim, SIGKILL)
      try await until { pool.statistics.restarts == 1 && pool.workers[0].state == .idle }
      #expect(pool.workers[0].processIdentifier != victim)
      #expect(!isAlive(victim))
      #expect(try await pool.map(0..<1_000) { $0 } == Array(0..<1_000))
      #expect(try await pool.broadcast { CurrentProcess.workerIndex } == [0, 1])
      #expect(pool.statistics.crashed == 0)
      #expect(pool.statistics.failed == 0)
    }
  }

  @Test("a worker killed from outside fails its task with the signal", arguments: startMethods)
  func killedWhileBusy(_ method: StartMethod) async throws {
    try await withPool(method) { pool in
      let flags = try SharedFlags(count: 1)
      let task = Task {
        try await pool.run(flags) { (flags: SharedFlags) -> Int in
          flags[0] = getpid()
          while true { pause() }
        }
      }
      try await until { flags[0] != 0 }
      kill(flags[0], SIGTERM)
      let report = try crashReport(
        of: await #expect(throws: ProcessError.self) { try await task.value })
      #expect(report.exitStatus == .signaled(.terminate, coreDumped: false))
      #expect(report.processIdentifier == flags[0])
    }
  }

  @Test("all workers can die, again and again", arguments: startMethods)
  func allDie(_ method: StartMethod) async throws {
    try await withPool(method) { pool async throws in
      for round in 1...5 {
        let crashes = await withTaskGroup(of: Bool.self) { group in
          for _ in 0..<4 {
            group.addTask {
              do {
                try await pool.run { () -> Void in Crash.killed.perform() }
              } catch ProcessError.crashed {
                return true
              } catch {}
              return false
            }
          }
          return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(crashes == 4)
        #expect(pool.statistics.crashed == 4 * round)
      }
      #expect(try await pool.map(0..<10) { $0 } == Array(0..<10))
    }
  }

  @Test(
    "more deaths than the restart limit allows end the pool with the last crash",
    arguments: startMethods)
  func restartLimit(_ method: StartMethod) async throws {
    let pool = try ProcessPool(
      workers: 1,
      configuration: .init {
        $0.startMethod = method
        $0.restartLimit = .init(2, per: .seconds(1_000))
      })
    for _ in 0..<2 {
      let error = await #expect(throws: ProcessError.self) {
        try await pool.run { () -> Int in Crash.exitThree.perform() }
      }
      _ = try crashReport(of: error)
    }
    // The third death is one too many: its own task has crashed, the next one finds the pool closed.
    await #expect(throws: ProcessError.self) {
      try await pool.run { () -> Int in Crash.exitThree.perform() }
    }
    let error = await #expect(throws: ProcessError.self) { try await pool.run { 1 } }
    guard case .restartLimitExceeded(let report)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(report.exitStatus == .exited(3))
  }

  @Test("workers that end before they can take a task end the pool", arguments: startMethods)
  func hopelessWorkers(_ method: StartMethod) async throws {
    try await withPool(
      method,
      // What a worker's main thread needs is one descriptor too many.
      { $0.processOptions.resourceLimits = [.init(.openFiles, soft: 4, hard: 4)] }
    ) { pool async throws in
      let error = await #expect(throws: ProcessError.self) { try await pool.run { 1 } }
      _ = try crashReport(of: error)
      #expect(pool.statistics.addsUp && pool.statistics.pending == 0)
    }
  }
}
