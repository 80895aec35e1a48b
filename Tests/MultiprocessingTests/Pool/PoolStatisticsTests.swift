// The pool's ledger: at every instant what was submitted is accounted for.

import Multiprocessing
import Synchronization
import Testing

private enum Failure: Error { case asked }

private final class Flag: Sendable {
  private let value = Atomic<Bool>(false)
  var isRaised: Bool { value.load(ordering: .acquiring) }
  func raise() { value.store(true, ordering: .releasing) }
}

@Suite("The ledger of a pool", .serialized, .timeLimit(.minutes(2)))
struct PoolStatisticsTests {
  /// Work of every kind: successes, failures, crashes, deadlines, maps that fail.
  private func work(_ pool: ProcessPool) async {
    await withTaskGroup(of: Void.self) { group in
      for index in 0..<60 {
        group.addTask {
          _ = try? await pool.run(index) { (n: Int) -> Int in
            if n % 20 == 7 { Crash.killed.perform() }
            if n % 5 == 3 { throw Failure.asked }
            return n
          }
        }
      }
      for _ in 0..<3 {
        group.addTask {
          _ = try? await pool.run(timeout: .milliseconds(5)) { () async throws -> Void in
            try await Task.sleep(for: .seconds(1_000))
          }
        }
        group.addTask { _ = try? await pool.map(0..<3_000) { $0 + 1 } }
        group.addTask {
          _ = try? await pool.map(0..<3_000) { (n: Int) -> Int in
            if n == 1_500 { throw Failure.asked }
            return n
          }
        }
      }
    }
  }

  @Test("the ledger adds up at every instant", arguments: startMethods)
  func addsUp(_ method: StartMethod) async throws {
    try await withPool(method) { pool in
      let isDone = Flag()
      let working = Task {
        await work(pool)
        isDone.raise()
      }
      var samples: Set<ProcessPool.Statistics> = []
      var last = pool.statistics
      var isMonotonic = true
      while !isDone.isRaised {
        let now = pool.statistics
        isMonotonic =
          isMonotonic && now.submitted >= last.submitted && now.succeeded >= last.succeeded
          && now.failed >= last.failed && now.crashed >= last.crashed && now.cancelled >= last.cancelled
        samples.insert(now)
        last = now
        await Task.yield()
      }
      await working.value
      #expect(samples.count > 10)
      #expect(samples.allSatisfy { $0.pending >= 0 })
      #expect(samples.filter { !$0.addsUp }.isEmpty)
      #expect(isMonotonic)
      let end = pool.statistics
      #expect(end.pending == 0)
      #expect(end.addsUp)
      #expect(end.crashed == 3)
      #expect(end.restarts == 3)
      // 12 runs fail (n % 5 == 3), 3 miss their deadline, and 3 maps fail once.
      #expect(end.failed == 12 + 3 + 3)
    }
  }
}
