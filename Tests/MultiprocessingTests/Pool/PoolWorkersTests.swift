// The life of workers: what runs first on them, when they start, when they end, how many there are.

import Glibc
import Multiprocessing
import Testing

@Suite("Workers that come and go", .serialized, .timeLimit(.minutes(2)))
struct PoolWorkersTests {
  private struct Model: Sendable {
    var name: String
    var uses = 0
  }

  private struct NoModel: Error, Codable, Equatable { var name: String }

  @Test("onWorkerStart runs once on each worker, before its first task", arguments: startMethods)
  func workerStart(_ method: StartMethod) async throws {
    let starts = try SharedFlags(count: 3)
    try await withPool(
      method, workers: 3,
      {
        $0.onWorkerStart = WorkerBody(starts, "bert") { starts, name in
          usleep(20_000)
          starts[CurrentProcess.workerIndex ?? 0] += 1
          WorkerState<Model>.set(Model(name: name))
        }
      }
    ) { pool async throws in
      #expect(try await pool.run { WorkerState<Model>.isSet })
      let names = try await pool.map(0..<100) { (_: Int) -> String in
        WorkerState<Model>.withValue { $0.uses += 1 }
        return WorkerState<Model>.current.name
      }
      #expect(names == Array(repeating: "bert", count: 100))
      let uses = try await pool.broadcast { WorkerState<Model>.current.uses }
      #expect(uses.reduce(0, +) == 100)
      #expect((0..<3).allSatisfy { starts[$0] == 1 })
      #expect(pool.statistics.submitted == 104)
      await #expect(throws: ProcessError.self) {
        try await pool.run { () -> Int in Crash.killed.perform() }
      }
      try await pool.warmUp()
      #expect((0..<3).reduce(0) { $0 + starts[$1] } == 4)
      #expect(try await pool.broadcast { WorkerState<Model>.isSet } == [true, true, true])
    }
    #expect(!WorkerState<Model>.isSet)
  }

  @Test("a value that is used before it was set ends the process, and names its type")
  func unsetState() async throws {
    let child = try ChildProcess(options: ProcessOptions(standardError: .capture)) {
      WorkerState<Model>.current.uses
    }
    _ = try crashReport(of: await #expect(throws: ProcessError.self) { try await child.value })
    #expect(try await child.standardError.text.contains("WorkerState<Model> is used before"))
  }

  @Test("an asynchronous onWorkerStart is awaited", arguments: startMethods)
  func asynchronousStart(_ method: StartMethod) async throws {
    try await withPool(
      method,
      {
        $0.onWorkerStart = WorkerBody { () async throws in
          try await Task.sleep(for: .milliseconds(10))
          WorkerState<Int>.set(42)
        }
      }
    ) { pool async throws in
      #expect(try await pool.broadcast { WorkerState<Int>.current } == [42, 42])
    }
  }

  @Test(
    "what onWorkerStart throws ends the pool, and is what every task gets", arguments: startMethods)
  func failingStart(_ method: StartMethod) async throws {
    try await withPool(
      method,
      { $0.onWorkerStart = WorkerBody("bert") { throw NoModel(name: $0) } }
    ) { pool async throws in
      await #expect(throws: NoModel(name: "bert")) { try await pool.warmUp() }
      await #expect(throws: NoModel(name: "bert")) { try await pool.run(1) { $0 + 1 } }
      await #expect(throws: NoModel(name: "bert")) { try await pool.map(0..<10) { $0 + 1 } }
      await #expect(throws: NoModel(name: "bert")) { try await pool.submit(1) { $0 + 1 }.value }
      try await until { pool.statistics.pending == 0 }
      #expect(pool.statistics.addsUp)
    }
  }

  @Test("tasks that were waiting get the failure of onWorkerStart too")
  func failingStartWithTasks() async throws {
    try await withPool(
      .forkServer,
      {
        $0.onWorkerStart = WorkerBody {
          usleep(100_000)
          throw NoModel(name: "late")
        }
      }
    ) { pool async throws in
      let tasks = (0..<20).map { pool.submit($0) { $0 + 1 } }
      for task in tasks {
        await #expect(throws: NoModel(name: "late")) { try await task.value }
      }
    }
  }

  @Test("a crash in onWorkerStart ends the pool after a few attempts", arguments: startMethods)
  func crashingStart(_ method: StartMethod) async throws {
    try await withPool(
      method, { $0.onWorkerStart = WorkerBody { Crash.fatalError.perform() } }
    ) { pool async throws in
      let error = await #expect(throws: ProcessError.self) { try await pool.run(1) { $0 + 1 } }
      _ = try crashReport(of: error)
      try await until { pool.statistics.pending == 0 }
      #expect(pool.statistics.addsUp)
    }
  }

  @Test("an onWorkerStart that cannot be sent is refused by init")
  func refusedStart() throws {
    // A constant would be folded into the body, and captured no more.
    let captured = Int.random(in: 1...9)
    _ = try transferFailure(
      of: #expect(throws: ProcessError.self) {
        try ProcessPool(
          workers: 1, configuration: .init { $0.onWorkerStart = WorkerBody { print(captured) } })
      })
  }

  @Test("a worker is replaced after so many tasks", arguments: startMethods, [1, 3])
  func maxTasks(_ method: StartMethod, _ limit: Int) async throws {
    try await withPool(method, workers: 2, { $0.maxTasksPerWorker = limit }) { pool async throws in
      var counts: [pid_t: Int] = [:]
      for _ in 0..<12 { counts[try await pool.run { getpid() }, default: 0] += 1 }
      for process in try await pool.map(0..<30, body: { (_: Int) in getpid() }) {
        counts[process, default: 0] += 1
      }
      #expect(counts.values.reduce(0, +) == 42)
      #expect(counts.values.allSatisfy { $0 <= limit })
      #expect(pool.statistics.restarts == 0)
      #expect(pool.statistics.succeeded == 42)
    }
  }

  @Test("a worker that has grown too large is replaced after its task", arguments: startMethods)
  func memoryLimit(_ method: StartMethod) async throws {
    try await withPool(method, workers: 1, { $0.workerMemoryLimit = 100 << 20 }) {
      pool async throws in
      let first = try await pool.run { getpid() }
      #expect(try await pool.run { getpid() } == first)
      let large = try await pool.run {
        WorkerState<[UInt8]>.set([UInt8](repeating: 1, count: 120 << 20))
        return getpid()
      }
      #expect(large == first)
      try await until { pool.workers[0].processIdentifier != first }
      #expect(try await pool.run { getpid() } != first)
      #expect(pool.statistics.restarts == 0 && pool.statistics.crashed == 0)
    }
  }

  @Test("with an idle timeout workers start on demand and end when idle", arguments: startMethods)
  func idleTimeout(_ method: StartMethod) async throws {
    try await withPool(method, workers: 3, { $0.idleTimeout = .milliseconds(50) }) {
      pool async throws in
      #expect(pool.workers.allSatisfy { $0.processIdentifier == 0 && $0.state == .dead })
      for _ in 0..<3 {
        #expect(try await pool.run(20) { $0 + 1 } == 21)
        try await until { pool.workers.allSatisfy { $0.processIdentifier == 0 } }
      }
      #expect(try await pool.map(0..<1_000) { $0 + 1 } == Array(1...1_000))
      #expect(try await pool.broadcast { CurrentProcess.workerIndex } == [0, 1, 2])
      try await until { pool.workers.allSatisfy { $0.processIdentifier == 0 } }
      try await pool.warmUp()
      #expect(pool.statistics.restarts == 0)
    }
  }

  @Test("a pool grows and shrinks, with work under way", arguments: startMethods)
  func resize(_ method: StartMethod) async throws {
    try await withPool(method, workers: 2) { pool async throws in
      let work = pool.submit { 1 }
      let stream = Task { try await pool.map(0..<200_000) { $0 &+ 1 } }
      await pool.resize(to: 4)
      #expect(pool.workerCount == 4)
      #expect(pool.workers.map(\.id) == [0, 1, 2, 3])
      #expect(Set(try await pool.broadcast { getpid() }).count == 4)
      await pool.resize(to: 1)
      #expect(pool.workerCount == 1)
      #expect(pool.workers.count == 1)
      #expect(try await pool.broadcast { CurrentProcess.workerIndex } == [0])
      await pool.resize(to: 3)
      #expect(try await pool.broadcast { CurrentProcess.workerIndex } == [0, 1, 2])
      #expect(try await work.value == 1)
      #expect(try await stream.value == (0..<200_000).map { $0 + 1 })
      #expect(pool.statistics.restarts == 0 && pool.statistics.crashed == 0)
      #expect(pool.statistics.addsUp)
    }
  }

  @Test("a pool in a worker has that worker's share of the CPUs", arguments: startMethods)
  func nestedPools(_ method: StartMethod) async throws {
    let usable = CPUTopology.usableCPUCount
    try await withPool(method, workers: usable * 2, placement: .none) { pool async throws in
      let counts = try await pool.map(0..<4) { (n: Int) async throws -> Int in
        let inner = try ProcessPool()
        defer { Task { await inner.shutdown() } }
        return try await inner.run(n) { $0 } == n ? inner.workerCount : -1
      }
      #expect(counts == [1, 1, 1, 1])
    }
  }

  @Test("numbers that make no sense are refused")
  func nonsense() throws {
    for configure: (inout ProcessPool.Configuration) -> Void in [
      { $0.maxTasksPerWorker = 0 }, { $0.workerMemoryLimit = -1 },
      { $0.idleTimeout = .seconds(-1) },
    ] {
      _ = try configurationProblem(
        of: #expect(throws: ProcessError.self) {
          try ProcessPool(workers: 1, configuration: .init(configure))
        })
    }
  }
}
