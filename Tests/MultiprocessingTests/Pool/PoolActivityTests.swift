// Where the workers' time and bytes go.

import Glibc
import Multiprocessing
import Testing

@Suite("The workers' time and bytes", .serialized, .timeLimit(.minutes(2)))
struct PoolActivityTests {
  private typealias Worker = ProcessPool.Statistics.Worker

  private func worker(_ pool: ProcessPool, _ index: Int = 0) throws -> Worker {
    try #require(pool.statistics.workers.first { $0.id == index })
  }

  @Test("start-up, waiting and work are told apart", arguments: startMethods)
  func times(_ method: StartMethod) async throws {
    let clock = ContinuousClock()
    let start = clock.now
    try await withPool(
      method, workers: 1,
      { $0.onWorkerStart = WorkerBody { usleep(30_000) } }
    ) { pool async throws in
      try await pool.warmUp()
      let fresh = try worker(pool)
      #expect(fresh.startUpTime >= .milliseconds(30))
      try await Task.sleep(for: .milliseconds(60))
      let idle = try worker(pool)
      // It goes to sleep within 20 us; its wait is counted while it lasts.
      #expect(idle.waitingTime - fresh.waitingTime >= .milliseconds(50))
      #expect(idle.startUpTime == fresh.startUpTime)
      _ = try await pool.run { usleep(70_000) }
      let done = try worker(pool)
      #expect(done.workingTime - idle.workingTime >= .milliseconds(70))
      try await pool.run { () async throws in try await Task.sleep(for: .milliseconds(40)) }
      #expect(try worker(pool).workingTime - done.workingTime >= .milliseconds(40))
      let end = try worker(pool)
      let elapsed = clock.now - start
      #expect(end.startUpTime + end.waitingTime + end.workingTime <= elapsed)
      #expect(end.processCount == 1 && end.taskCount == 2)
    }
  }

  @Test("a worker whose results nobody takes waits")
  func backPressure() async throws {
    try await withPool(.forkServer, workers: 1) { pool async throws in
      var received = 0
      for try await result in pool.results(
        of: 0..<40, body: { (_: Int) in [UInt8](repeating: 1, count: 40_000) })
      {
        received += result.count
        try await Task.sleep(for: .milliseconds(5))
      }
      #expect(received == 40 * 40_000)
      let worker = try worker(pool)
      #expect(worker.resultByteCount >= received)
      #expect(worker.waitingTime >= .milliseconds(20))
    }
  }

  @Test("what ended workers did is kept", arguments: startMethods)
  func replacement(_ method: StartMethod) async throws {
    let pool = try ProcessPool(
      workers: 1, configuration: .init { $0.startMethod = method })
    for _ in 0..<3 {
      _ = try await pool.run([UInt8](repeating: 0, count: 1_000)) { (_: [UInt8]) in usleep(20_000) }
      await #expect(throws: ProcessError.self) {
        try await pool.run { () -> Int in Crash.killed.perform() }
      }
      try await until { pool.statistics.restarts == (try worker(pool)).processCount - 1 }
    }
    try await pool.warmUp()
    let before = try worker(pool)
    #expect(before.processCount == 4 && before.taskCount == 3)
    #expect(before.workingTime >= .milliseconds(60))
    #expect(before.argumentByteCount >= 3_000)
    await pool.drain()
    let after = try worker(pool)
    #expect(after.processCount == 4 && after.taskCount == 3)
    #expect(after.argumentByteCount == before.argumentByteCount)
    #expect(after.startUpTime == before.startUpTime)
    #expect(after.waitingTime >= before.waitingTime)
    // The processes are gone: nothing is added any more.
    #expect(try worker(pool) == after)
  }

  @Test("each worker of a pool that shrinks and grows has its place")
  func sizes() async throws {
    try await withPool(.forkServer, workers: 2) { pool async throws in
      await pool.resize(to: 1)
      #expect(pool.statistics.workers.map(\.id) == [0, 1])
      #expect(pool.statistics.workers.map(\.processCount) == [1, 1])
      await pool.resize(to: 3)
      #expect(pool.statistics.workers.map(\.processCount) == [1, 2, 1])
    }
  }

  @Test("bytes that are copied, large ones, and bytes that are shared")
  func bytes() async throws {
    try await withPool(.forkServer, workers: 1) { pool async throws in
      _ = try await pool.run([UInt8](repeating: 7, count: 5_000)) { (bytes: [UInt8]) in
        bytes + bytes
      }
      let small = try worker(pool)
      #expect(small.argumentByteCount >= 5_000 && small.argumentByteCount < 6_000)
      #expect(small.resultByteCount >= 10_000 && small.resultByteCount < 11_000)
      #expect(small.largeByteCount == 0 && small.sharedByteCount == 0)
      _ = try await pool.run([UInt8](repeating: 7, count: 1 << 20)) { (bytes: [UInt8]) in bytes }
      let large = try worker(pool)
      #expect(large.largeByteCount >= 2 << 20)
      #expect(large.argumentByteCount - small.argumentByteCount >= 1 << 20)
      #expect(large.resultByteCount - small.resultByteCount >= 1 << 20)
      let array = try SharedArray<Int64>(count: 10_000)
      for _ in 0..<3 {
        try await pool.run(array) { (array: SharedArray<Int64>) in array[1] = 1 }
      }
      let shared = try worker(pool)
      #expect(shared.sharedByteCount >= 80_000 && shared.sharedByteCount < 100_000)
      #expect(shared.argumentByteCount - large.argumentByteCount < 3_000)
    }
  }

  @Test("the sizes of chunks are counted")
  func chunkSizes() async throws {
    try await withPool(.forkServer, { $0.chunkSize = .fixed(7) }) { pool async throws in
      #expect(pool.statistics.chunkSizes.smallest == nil)
      _ = try await pool.run(1) { $0 }
      #expect(pool.statistics.chunkSizes.counts.isEmpty)
      _ = try await pool.map(0..<100) { $0 }
      // 14 chunks of 7 and one of 2.
      let sizes = pool.statistics.chunkSizes
      #expect(sizes.smallest == 2 && sizes.largest == 7)
      #expect(sizes.counts == [0, 1, 14])
      for try await _ in pool.results(of: 0..<21, body: { $0 }) {}
      #expect(pool.statistics.chunkSizes.counts == [0, 1, 17])
    }
    try await withPool(.forkServer) { pool async throws in
      _ = try await pool.map(0..<200_000) { $0 }
      let sizes = pool.statistics.chunkSizes
      #expect(sizes.smallest == 1)
      #expect(try #require(sizes.largest) > 100)
      let items = sizes.counts.enumerated().map { power, count in count << power }.reduce(0, +)
      #expect(items <= 200_000 && items > 100_000)
    }
  }

  @Test("in serial mode the application is the worker")
  func inProcess() async throws {
    try await withPool(.forkServer, { $0.execution = .inProcess }) { pool async throws in
      _ = try await pool.run([UInt8](repeating: 1, count: 2_000)) { (bytes: [UInt8]) -> [UInt8] in
        usleep(20_000)
        return bytes
      }
      #expect(pool.statistics.workers.map(\.id) == [0])
      let worker = try worker(pool)
      #expect(worker.workingTime >= .milliseconds(20))
      #expect(worker.argumentByteCount >= 2_000 && worker.resultByteCount >= 2_000)
      #expect(worker.taskCount == 1)
    }
  }
}
