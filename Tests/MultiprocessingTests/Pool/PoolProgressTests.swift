// Progress: who is told what, and when.

import Glibc
import Synchronization
import Testing

@testable import Multiprocessing

/// Keeps what a handler was told.
private final class Reports: Sendable {
  private let reports = Mutex<[ProcessPool.Progress]>([])

  var all: [ProcessPool.Progress] { reports.withLock { $0 } }
  var last: ProcessPool.Progress? { all.last }

  func add(_ progress: ProcessPool.Progress) { reports.withLock { $0.append(progress) } }

  /// Nothing ever went back, or came to more than there is.
  var areSound: Bool {
    let all = all
    return zip(all, all.dropFirst()).allSatisfy { earlier, later in
      earlier.completed <= later.completed && earlier.failed <= later.failed
        && earlier.total == later.total
    } && all.allSatisfy { $0.failed <= $0.completed && $0.completed <= $0.total ?? Int.max }
  }
}

@Suite("Progress", .serialized, .timeLimit(.minutes(2)))
struct PoolProgressTests {
  private struct Odd: Error, Codable { var number: Int }

  private func withReports(
    _ configure: (inout ProcessPool.Configuration) -> Void = { _ in },
    _ body: (ProcessPool, Reports) async throws -> Void
  ) async throws {
    let reports = Reports()
    try await withPool(
      .forkServer,
      {
        $0.progress = .handler { reports.add($0) }
        configure(&$0)
      }
    ) { pool async throws in try await body(pool, reports) }
    #expect(reports.areSound)
  }

  @Test("a map reports at most every 100 ms, and once at the end")
  func map() async throws {
    try await withReports { pool, reports in
      let clock = ContinuousClock()
      let start = clock.now
      _ = try await pool.map(0..<500) { (n: Int) -> Int in
        usleep(2_000)
        return n
      }
      let elapsed = clock.now - start
      #expect(reports.last == ProcessPool.Progress(completed: 500, total: 500, failed: 0))
      // 500 items of 2 ms on 2 workers.
      #expect(reports.all.count >= 3)
      #expect(Double(reports.all.count - 1) <= elapsed / .milliseconds(100))
    }
  }

  @Test("the total is known where the input's length is")
  func totals() async throws {
    try await withReports { pool, reports in
      _ = try await pool.map(zip(0..<30, [Int](0..<20))) { $0 + $1 }
      #expect(reports.last == ProcessPool.Progress(completed: 20, total: 20, failed: 0))
    }
    try await withReports { pool, reports in
      try await pool.forEach(["a", "b"]) { _ in }
      #expect(reports.last == ProcessPool.Progress(completed: 2, total: 2, failed: 0))
    }
    try await withReports { pool, reports in
      _ = try await pool.map(sequence(first: 1) { $0 < 9 ? $0 + 1 : nil }) { $0 }
      #expect(reports.last == ProcessPool.Progress(completed: 9, total: nil, failed: 0))
    }
    try await withReports { pool, reports in
      _ = try await pool.map([Int]()) { $0 }
      #expect(reports.all == [ProcessPool.Progress(completed: 0, total: 0, failed: 0)])
    }
  }

  @Test("a change is reported while nothing else happens", arguments: [false, true])
  func quiet(_ inProcess: Bool) async throws {
    let flags = try SharedFlags(count: 1)
    let reports = Reports()
    try await withPool(
      .forkServer,
      {
        if inProcess { $0.execution = .inProcess }
        $0.chunkSize = .fixed(1)
        $0.progress = .handler {
          reports.add($0)
          // What the second item waits for; without the report it would wait for ever.
          if $0.completed == 1 { flags[0] = 1 }
        }
      }
    ) { pool async throws in
      _ = try await pool.map([(0, flags), (1, flags)]) { (n: Int, flags: SharedFlags) async in
        while n == 1, flags[0] == 0 { try? await Task.sleep(for: .milliseconds(1)) }
        return n
      }
    }
    #expect(reports.all.first?.completed == 1)
    #expect(reports.last == ProcessPool.Progress(completed: 2, total: 2, failed: 0))
  }

  @Test("a map that fails reports a last time", arguments: [false, true])
  func failure(_ inProcess: Bool) async throws {
    try await withReports({ if inProcess { $0.execution = .inProcess } }) { pool, reports in
      await #expect(throws: Odd.self) {
        try await pool.map(0..<1_000) { (n: Int) throws -> Int in
          if n == 7 { throw Odd(number: n) }
          // The other worker does not get further before the failure is noticed.
          while n == 500, !Task.isCancelled { usleep(500) }
          return n
        }
      }
      let last = try #require(reports.last)
      #expect(last.failed >= 1)
      #expect(last.completed >= 8 && last.completed < 1_000)
    }
  }

  @Test("items that are retried count once")
  func retries() async throws {
    let flags = try SharedFlags(count: 8)
    try await withReports({ $0.retry = .afterError(max: 3, backoff: .constant(.zero)) }) {
      pool, reports in
      _ = try await pool.map((0..<8).map { ($0, flags) }) { (n: Int, flags: SharedFlags) in
        flags[n] += 1
        if flags[n] < 3 { throw Odd(number: n) }
        return n
      }
      #expect(reports.last == ProcessPool.Progress(completed: 8, total: 8, failed: 0))
    }
  }

  @Test("streams report, also when the loop is left")
  func streams() async throws {
    try await withReports { pool, reports in
      var count = 0
      for try await _ in pool.results(of: 0..<300, body: { $0 }) { count += 1 }
      #expect(count == 300)
      #expect(reports.last == ProcessPool.Progress(completed: 300, total: 300, failed: 0))
    }
    try await withReports { pool, reports in
      var failures = 0
      for await (_, result) in pool.outcomes(
        of: 0..<90,
        body: { (n: Int) throws -> Int in
          if n % 3 == 0 { throw Odd(number: n) }
          return n
        }) where (try? result.get()) == nil
      { failures += 1 }
      #expect(failures == 30)
      #expect(reports.last == ProcessPool.Progress(completed: 90, total: 90, failed: 30))
    }
    try await withReports { pool, reports in
      for try await _ in pool.results(of: 0..., body: { $0 }) { break }
      let count = reports.all.count
      #expect(count >= 1)
      // Nothing after the last one.
      _ = try await pool.run(1) { $0 }
      #expect(reports.all.count == count)
    }
  }

  @Test("a consumer that takes its time hears in between")
  func slowConsumer() async throws {
    try await withReports({ $0.window = 1 }) { pool, reports in
      for try await _ in pool.results(of: 0..<4, body: { $0 }) {
        try await Task.sleep(for: .milliseconds(110))
      }
      #expect(reports.all.count >= 3)
    }
  }

  @Test("progress as a stream of values")
  func stream() async throws {
    let (values, continuation) = AsyncStream.makeStream(
      of: ProcessPool.Progress.self, bufferingPolicy: .bufferingNewest(1))
    let watching = Task { await values.reduce(into: []) { $0.append($1) } }
    try await withPool(.forkServer, { $0.progress = .handler { continuation.yield($0) } }) {
      pool async throws in
      _ = try await pool.map(0..<1_000) { $0 * $0 }
    }
    continuation.finish()
    let seen = await watching.value
    #expect(seen.last == ProcessPool.Progress(completed: 1_000, total: 1_000, failed: 0))
  }

  @Test("while a handler runs, other callers' results are not held up")
  func slowHandler() async throws {
    let spinners = Mutex<[Int]>([])
    let pool = Mutex<ProcessPool?>(nil)
    try await withPool(
      .forkServer,
      {
        $0.progress = .handler { _ in
          let channels = pool.withLock { $0?.core.channels() ?? [] }
          let counts = channels.map { channel in
            channel.lock.withLock { _ in channel.state.spinners }
          }
          spinners.withLock { $0 += counts }
        }
      }
    ) { running async throws in
      pool.withLock { $0 = running }
      _ = try await running.map(0..<200) { (n: Int) -> Int in
        usleep(4_000)
        return n
      }
      pool.withLock { $0 = nil }
    }
    let counts = spinners.withLock { $0 }
    #expect(counts.count >= 4)
    #expect(counts.allSatisfy { $0 == 0 })
  }
}
