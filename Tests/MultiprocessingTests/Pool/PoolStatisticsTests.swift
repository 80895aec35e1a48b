// The pool's ledger: at every instant what was submitted is accounted for.

import Foundation
import Multiprocessing
import Synchronization
import Testing

private enum Failure: Error { case asked }

/// Reads a pool's ledger over and over on a thread of its own.
private final class Sampler: Sendable {
  private let isDone = Atomic<Bool>(false)
  private let samples = Mutex<[ProcessPool.Statistics]>([])

  func start(_ pool: ProcessPool) {
    Thread.detachNewThread { [self] in
      while !isDone.load(ordering: .acquiring) {
        var now = pool.statistics
        // The workers' times change all the time.
        now.workers = []
        samples.withLock { if $0.last != now { $0.append(now) } }
      }
    }
  }

  /// What was read, without repetitions.
  func stop() -> [ProcessPool.Statistics] {
    isDone.store(true, ordering: .releasing)
    return samples.withLock { $0 }
  }
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
      let sampler = Sampler()
      sampler.start(pool)
      await work(pool)
      let samples = sampler.stop()
      #expect(samples.count > 3)
      #expect(samples.allSatisfy { $0.pending >= 0 })
      #expect(samples.filter { !$0.addsUp }.isEmpty)
      #expect(
        zip(samples, samples.dropFirst()).allSatisfy { earlier, later in
          later.submitted >= earlier.submitted && later.succeeded >= earlier.succeeded
            && later.failed >= earlier.failed && later.crashed >= earlier.crashed
            && later.cancelled >= earlier.cancelled
        })
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
