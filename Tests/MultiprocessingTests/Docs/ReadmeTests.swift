// The examples of README.md, run. `SnippetTests` sees to it that they are the same.

import Multiprocessing
import Testing

private enum Squares {
  static func main() async throws {
    let squares = try await withProcessPool { pool in
      try await pool.map(1...1_000) { $0 * $0 }
    }
    print(squares.reduce(0, +))
  }
}

private func square(_ number: Int) -> Int { number * number }

private func primes(below limit: Int) -> [Int] {
  (2..<limit).filter { number in !(2..<number).contains { number.isMultiple(of: $0) } }
}

/// What the README leaves to its reader.
private func download(_ url: String) async throws -> String { "the page at \(url)" }

@Suite("Examples of the README", .serialized, .timeLimit(.minutes(2)))
struct ReadmeTests {
  struct Scale: ProcessTask {
    var factor: Double
    var values: [Double]
    func run() async throws -> [Double] { values.map { $0 * factor } }
  }

  @Test("the first example")
  func first() async throws {
    try await Squares.main()
  }

  @Test("a process")
  func process() async throws {
    let child = try ChildProcess(21) { $0 * 2 }  // runs from here on, like Task
    print(try await child.value)  // 42
    print(try await ChildProcess(7, body: square).value)
    #expect(try await child.value == 42)
  }

  @Test("a task")
  func task() async throws {
    try await withPool { pool async throws in
      let readings = [1.0, 2.5]
      let scaled = try await pool.run(Scale(factor: 2, values: readings))
      #expect(scaled == [2, 5])
    }
  }

  @Test("a pool")
  func pool() async throws {
    let (words, xs, ys, url) = (["a", "bc"], [1, 2], [10, 20], "example.org")
    try await withProcessPool(workers: 4, placement: .spread) { pool in
      let lengths = try await pool.map(words) { $0.count }  // results in input order
      let sums = try await pool.map(zip(xs, ys)) { x, y in x + y }  // several arguments
      let page = try await pool.run(url, timeout: .seconds(10)) { (url: String) async throws in
        try await download(url)  // bodies may await
      }
      do {
        _ = try await pool.run(7) { [10, 20, 30][$0] }  // traps in the worker
      } catch ProcessError.crashed(let report) {
        print(report)
      }
      for worker in pool.workers { print(worker.requestedCPUs as Any, worker.verifiedCPUs as Any) }
      #expect(lengths == [1, 2])
      #expect(sums == [11, 22])
      #expect(page == "the page at example.org")
      #expect(pool.statistics.crashed == 1)
    }
  }

  @Test("submitted tasks, streams, and every outcome")
  func streams() async throws {
    try await withPool { pool async throws in
      let task = pool.submit(7, body: square)  // a PoolTask: value, result, state, cancel()
      print(try await task.value)
      #expect(task.state == .succeeded)

      for try await square in pool.results(of: 1..., body: square) {  // input without an end
        if square > 10_000 { break }  // cancels what is under way
      }
      try await until { pool.statistics.pending == 0 }

      for await (index, result) in pool.outcomes(of: [5, 0, 2], body: { 10 / $0 }) {
        print(index, result)  // the crash of input 1 is one of the three
      }
      #expect(pool.statistics.crashed == 1)
    }
  }

  @Test("state per worker, retries, fresh workers")
  func configuration() async throws {
    let configuration = ProcessPool.Configuration {
      $0.onWorkerStart = WorkerBody(1_000) { WorkerState<[Int]>.set(primes(below: $0)) }
      $0.retry = .afterCrash(max: 3)  // or .afterError(max: 3), with back-off
      $0.maxTasksPerWorker = 1_000  // also workerMemoryLimit, idleTimeout
    }
    let counts = try await withProcessPool(configuration: configuration) { pool in
      try await pool.map([10, 100]) { limit in
        WorkerState<[Int]>.withValue { $0.count { $0 < limit } }
      }
    }
    print(counts)  // [4, 25]
    #expect(counts == [4, 25])
  }
}
