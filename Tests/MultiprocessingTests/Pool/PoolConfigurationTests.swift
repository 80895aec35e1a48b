// What a pool is asked to be: refused where it makes no sense, and true where it is accepted.

import Foundation
import Multiprocessing
import Testing

@Suite("Configurations of a pool", .serialized, .timeLimit(.minutes(2)))
struct PoolConfigurationTests {
  private func problem(
    workers: Int = 1, placement: Placement = .automatic,
    sourceLocation: SourceLocation = #_sourceLocation,
    _ configure: (inout ProcessPool.Configuration) -> Void = { _ in }
  ) throws -> String {
    let error = #expect(throws: ProcessError.self, sourceLocation: sourceLocation) {
      try ProcessPool(workers: workers, placement: placement, configuration: .init(configure))
    }
    return try configurationProblem(of: error, sourceLocation: sourceLocation)
  }

  @Test("a pool needs at least one worker", arguments: [0, -1, Int.min])
  func workers(_ count: Int) throws {
    #expect(try problem(workers: count).contains("\(count) workers"))
  }

  @Test("a window must let something run", arguments: [0, -1])
  func window(_ window: Int) throws {
    #expect(try problem { $0.window = window }.contains("window"))
  }

  @Test("a chunk has at least one item", arguments: [0, -1])
  func chunk(_ size: Int) throws {
    #expect(try problem { $0.chunkSize = .fixed(size) }.contains("chunk"))
  }

  @Test("workers are never forked from the application")
  func fork() throws {
    #expect(try problem { $0.startMethod = .fork }.contains("ChildProcess.forking"))
  }

  @Test("a CPU that cannot be used is named", arguments: startMethods)
  func unusableCPU(_ method: StartMethod) throws {
    let text = try problem(workers: 2, placement: .explicit([[4_095]])) { $0.startMethod = method }
    #expect(text.contains("4095"))
  }

  @Test(
    "a worker's working directory that does not exist fails the pool's start",
    arguments: startMethods)
  func missingDirectory(_ method: StartMethod) throws {
    let error = #expect(throws: ProcessError.self) {
      try ProcessPool(
        workers: 2,
        configuration: .init {
          $0.startMethod = method
          $0.processOptions.workingDirectory = "/no/such/place"
        })
    }
    guard case .startFailed(.noSuchFileOrDirectory, let operation)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(operation.contains("/no/such/place"))
  }

  @Test("workers report the CPUs asked for and the CPUs they have", arguments: startMethods)
  func verifiedCPUs(_ method: StartMethod) async throws {
    let sets = CPUTopology.current.allowed.map { CPUSet([$0]) }
    try await withPool(method, workers: 3, placement: .explicit(sets)) { pool async throws in
      let expected = (0..<3).map { sets[$0 % sets.count] }
      #expect(pool.workers.map(\.requestedCPUs) == expected)
      #expect(pool.workers.map(\.verifiedCPUs) == expected)
      #expect(try await pool.broadcast { CurrentProcess.affinity } == expected)
    }
  }

  @Test("a replaced worker has the CPUs of the one before", arguments: startMethods)
  func verifiedAfterCrash(_ method: StartMethod) async throws {
    let sets = CPUTopology.current.allowed.map { CPUSet([$0]) }
    try await withPool(method, workers: 1, placement: .explicit([sets[sets.count - 1]])) {
      pool async throws in
      await #expect(throws: ProcessError.self) {
        try await pool.run { () -> Int in Crash.exitThree.perform() }
      }
      #expect(try await pool.run { CurrentProcess.affinity } == sets[sets.count - 1])
      #expect(pool.workers[0].verifiedCPUs == sets[sets.count - 1])
    }
  }

  @Test("workers that are not bound may use all CPUs", arguments: startMethods)
  func unbound(_ method: StartMethod) async throws {
    try await withPool(method, placement: .unbound) { pool in
      #expect(pool.workers.map(\.requestedCPUs) == [nil, nil])
      let sets = try await pool.broadcast { CurrentProcess.affinity }
      #expect(sets == [CPUTopology.current.allowed, CPUTopology.current.allowed])
    }
  }

  @Test("a pool has as many workers as there are usable CPUs by default")
  func defaultCount() async throws {
    let pool = try ProcessPool()
    #expect(pool.workerCount == CPUTopology.usableCPUCount)
    await pool.drain()
  }

  @Test("the workers' options apply to each, replaced ones too", arguments: startMethods)
  func processOptions(_ method: StartMethod) async throws {
    try await withPool(
      method,
      {
        $0.processOptions.environment = ["ONLY": "this"]
        $0.processOptions.workingDirectory = "/usr"
        $0.processOptions.name = "render"
        $0.processOptions.niceness = 13
      },
      body: { pool in
        for _ in 0..<2 {
          let texts = try await pool.broadcast { () -> [String] in
            [
              ProcessInfo.processInfo.environment["ONLY"] ?? "",
              FileManager.default.currentDirectoryPath,
              CurrentProcess.name, "\(nice(0))",
            ]
          }
          #expect(
            texts == [["this", "/usr", "render-0", "13"], ["this", "/usr", "render-1", "13"]])
          await #expect(throws: ProcessError.self) {
            try await pool.run { () -> Int in Crash.killed.perform() }
          }
        }
      })
  }

  @Test("threadsPerWorker reaches the libraries that start threads", arguments: startMethods)
  func threadsPerWorker(_ method: StartMethod) async throws {
    try await withPool(method, workers: 1, { $0.threadsPerWorker = 3 }) { pool in
      let environment = try await pool.run { ProcessInfo.processInfo.environment }
      #expect(environment["OMP_NUM_THREADS"] == "3")
      #expect(environment["OPENBLAS_NUM_THREADS"] == "3")
      #expect(environment["MKL_NUM_THREADS"] == "3")
      #expect(environment["PATH"] == ProcessInfo.processInfo.environment["PATH"])
    }
  }

  @Test("without a number the thread counts follow the masks; the environment's own stay")
  func threadsFollowMasks() async throws {
    let cpus = CPUTopology.current.allowed
    let all = Placement.explicit([cpus])
    for (placement, expected) in [
      (all, "\(cpus.count)"), (.explicit([cpus, CPUSet(cpus.prefix(1))]), "1"), (.none, nil),
    ] as [(Placement, String?)] {
      let configuration = ProcessPool.Configuration {
        $0.processOptions.environment = ["MKL_NUM_THREADS": "9"]
      }
      try await withProcessPool(workers: 2, placement: placement, configuration: configuration) {
        pool async throws in
        let environment = try await pool.run { ProcessInfo.processInfo.environment }
        #expect(environment["OMP_NUM_THREADS"] == expected)
        #expect(environment["OPENBLAS_NUM_THREADS"] == expected)
        #expect(environment["MKL_NUM_THREADS"] == "9")
      }
    }
  }

  @Test(
    "every way of waiting gives the same results", arguments: startMethods,
    ProcessPool.Configuration.Waiting.allCases)
  func waiting(_ method: StartMethod, _ waiting: ProcessPool.Configuration.Waiting) async throws {
    try await withPool(method, { $0.waiting = waiting }) { pool async throws in
      for n in 0..<200 { #expect(try await pool.run(n) { $0 + 1 } == n + 1) }
      #expect(try await pool.map(0..<5_000) { $0 * 3 } == (0..<5_000).map { $0 * 3 })
    }
  }

  @Test("a worker ignores SIGINT", arguments: startMethods)
  func interrupt(_ method: StartMethod) async throws {
    try await withPool(method, workers: 1) { pool async throws in
      kill(pool.workers[0].processIdentifier, SIGINT)
      #expect(try await pool.run { getpid() } == pool.workers[0].processIdentifier)
      #expect(pool.statistics.restarts == 0)
    }
  }
}
