// What a pool tells its logger.

import Foundation
import Glibc
import InMemoryLogging
import Logging
import Multiprocessing
import Synchronization
import Testing

/// A handler that looks at the pool, as user code may.
private struct CuriousHandler: LogHandler {
  final class State: Sendable {
    let pool = Mutex<ProcessPool?>(nil)
    let threads = Mutex<[String]>([])
    let isBusy = Atomic<Bool>(false)
  }

  let state: State
  var metadata: Logger.Metadata = [:]
  var logLevel: Logger.Level = .trace

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let wasBusy = state.isBusy.exchange(true, ordering: .acquiring)
    #expect(!wasBusy, "two entries at once")
    let name = try? String(contentsOfFile: "/proc/thread-self/comm", encoding: .utf8)
    state.threads.withLock { $0.append(name ?? "") }
    // Would never return with a lock held that these take.
    if let pool = state.pool.withLock({ $0 }) {
      _ = (pool.statistics, pool.workers, pool.workerCount)
    }
    state.isBusy.store(false, ordering: .releasing)
  }
}

@Suite("The log of a pool", .serialized, .timeLimit(.minutes(2)))
struct PoolLogTests {
  private struct NoModel: Error, Codable {}

  private func withLog(
    _ method: StartMethod = .forkServer, workers: Int = 1,
    _ configure: (inout ProcessPool.Configuration) -> Void = { _ in },
    body: (ProcessPool, InMemoryLogHandler) async throws -> Void
  ) async throws -> [InMemoryLogHandler.Entry] {
    let handler = InMemoryLogHandler()
    var logger = Logger(label: "test") { _ in handler }
    logger.logLevel = .trace
    try await withPool(
      method, workers: workers,
      {
        $0.logger = logger
        configure(&$0)
      }
    ) { try await body($0, handler) }
    return handler.entries
  }

  private func reason(_ entry: InMemoryLogHandler.Entry?) -> String {
    entry?.metadata["reason"].map { "\($0)" } ?? ""
  }

  private func messages(_ entries: [InMemoryLogHandler.Entry]) -> [String] {
    entries.map { "\($0.level): \($0.message)" }
  }

  @Test(
    "a worker's life is told at level debug, all of it before drain returns",
    arguments: startMethods)
  func life(_ method: StartMethod) async throws {
    var worker: pid_t = 0
    let entries = try await withLog(method) { pool, _ in worker = try await pool.run { getpid() } }
    #expect(
      messages(entries) == [
        "debug: worker started", "debug: worker ready", "debug: worker retired",
      ])
    #expect(entries.allSatisfy { $0.metadata["worker"] == "0" })
    #expect(entries.allSatisfy { $0.metadata["pid"] == "\(worker)" })
    #expect(entries.first?.metadata["startMethod"] == "\(method.rawValue)")
    #expect(entries.last?.metadata["reason"] == "the pool was drained")
  }

  @Test(
    "a crash is a warning that says who and how, and its worker is replaced",
    arguments: startMethods)
  func crash(_ method: StartMethod) async throws {
    var worker: pid_t = 0
    let entries = try await withLog(method) { pool, _ in
      worker = try await pool.run { getpid() }
      _ = try? await pool.run { () -> Int in Crash.killed.perform() }
      _ = try await pool.run { 1 }
      try await pool.warmUp()
    }
    let crash = try #require(entries.first { $0.level == .warning })
    #expect(crash.message == "worker crashed")
    #expect(crash.metadata["pid"] == "\(worker)")
    #expect(reason(crash).contains("SIGKILL"))
    #expect(
      messages(entries) == [
        "debug: worker started", "debug: worker ready", "warning: worker crashed",
        "debug: worker is replaced", "debug: worker started", "debug: worker ready",
        "debug: worker retired",
      ])
  }

  @Test("workers that retire say why")
  func retirement() async throws {
    let limited = try await withLog(startMethods[0], { $0.maxTasksPerWorker = 1 }) { pool, _ in
      for _ in 0..<2 { _ = try await pool.run { 1 } }
    }
    #expect(limited.filter { $0.metadata["reason"] == "maxTasksPerWorker" }.count == 2)
    let shrunk = try await withLog(startMethods[0], workers: 2) { pool, _ in
      await pool.resize(to: 1)
    }
    #expect(
      shrunk.filter { $0.metadata["reason"] == "the pool was made smaller" }
        .map { $0.metadata["worker"] }
        == ["1"])
    let idle = try await withLog(startMethods[0], { $0.idleTimeout = .milliseconds(5) }) {
      pool, handler in
      _ = try await pool.run { 1 }
      try await until { handler.entries.contains { $0.metadata["reason"] == "idleTimeout" } }
    }
    #expect(idle.filter { $0.level > .debug }.isEmpty)
  }

  @Test("the pool's end by its own fault is an error")
  func end() async throws {
    let failed = try await withLog(
      .forkServer, { $0.onWorkerStart = WorkerBody { throw NoModel() } }
    ) {
      pool, _ in
      await #expect(throws: NoModel.self) { try await pool.run { 1 } }
    }
    let errors = failed.filter { $0.level == .error }
    #expect(errors.map(\.message) == ["the pool has ended"])
    #expect(reason(errors.first).contains("NoModel"))
    let exhausted = try await withLog(
      .forkServer, { $0.restartLimit = .init(2, per: .seconds(60)) }
    ) {
      pool, _ in
      while (try? await pool.run { () -> Int in Crash.exitThree.perform() }) == nil {
        do { try await pool.warmUp() } catch { break }
      }
    }
    #expect(exhausted.filter { $0.level == .warning }.count == 3)
    let last = try #require(exhausted.last { $0.level == .error })
    #expect(reason(last).contains("restart limit"))
  }

  @Test("deadlines and force are told")
  func force() async throws {
    let entries = try await withLog(.forkServer, { $0.cancellationGrace = .milliseconds(20) }) {
      pool, _ in
      await #expect(throws: ProcessError.self) {
        try await pool.run(timeout: .milliseconds(10)) {
          signal(SIGTERM, SIG_IGN)
          while true { usleep(1_000) }
        }
      }
      try await pool.warmUp()
    }
    let told = messages(entries)
    let order = [
      "info: a task is ended: its deadline has passed",
      "warning: a cancelled task goes on: its worker gets SIGTERM",
      "warning: the worker goes on: it gets SIGKILL", "warning: worker crashed",
    ].map { told.firstIndex(of: $0) }
    #expect(order.allSatisfy { $0 != nil })
    #expect(order.compactMap { $0 } == order.compactMap { $0 }.sorted())
  }

  @Test("a handler runs with no lock of the pool held, and not on its thread")
  func handler() async throws {
    let state = CuriousHandler.State()
    let logger = Logger(label: "test") { _ in CuriousHandler(state: state) }
    try await withPool(.forkServer, workers: 2, { $0.logger = logger }) { pool async throws in
      state.pool.withLock { $0 = pool }
      _ = await withTaskGroup(of: Void.self) { group in
        for number in 0..<40 {
          group.addTask {
            _ = try? await pool.run(number) { (n: Int) -> Int in
              if n % 8 == 1 { Crash.killed.perform() }
              return n
            }
          }
        }
      }
      try await pool.warmUp()
      state.pool.withLock { $0 = nil }
    }
    let threads = state.threads.withLock { $0 }
    #expect(threads.count >= 2 + 5 * 3)
    #expect(threads.allSatisfy { !$0.isEmpty && !$0.hasPrefix("mproc-") })
  }

  @Test("nothing is logged without a logger, nor below its level")
  func level() async throws {
    let handler = InMemoryLogHandler()
    var logger = Logger(label: "test") { _ in handler }
    logger.logLevel = .warning
    try await withPool(.forkServer, { $0.logger = logger }) { pool async throws in
      _ = try await pool.run { 1 }
    }
    #expect(handler.entries.isEmpty)
  }
}
