// Streams of results: order, laziness, back-pressure, failures, and leaving early.

import Multiprocessing
import Synchronization
import Testing

@Suite("Streams of results", .serialized, .timeLimit(.minutes(2)))
struct PoolResultsTests {
  /// Counts how far an input has been pulled.
  private final class Counter: Sendable {
    let count = Atomic<Int>(0)
    var value: Int { count.load(ordering: .relaxed) }
  }

  private struct Endless: Sequence, IteratorProtocol {
    let counter: Counter
    mutating func next() -> Int? { counter.count.add(1, ordering: .relaxed).oldValue }
  }

  private struct Offset: ProcessTask {
    var number: Int
    func run() async throws -> Int { number + 100 }
  }

  @Test("results come in the order of the inputs", arguments: startMethods, [1, 2, 7])
  func ordered(_ method: StartMethod, _ workers: Int) async throws {
    try await withPool(method, workers: workers) { pool async throws in
      var results: [Int] = []
      for try await result in pool.results(of: 0..<20_000, body: { $0 * 2 }) {
        results.append(result)
      }
      #expect(results == (0..<20_000).map { $0 * 2 })
      #expect(pool.statistics.succeeded == 20_000)
    }
  }

  @Test("without an order every result comes once", arguments: startMethods)
  func unordered(_ method: StartMethod) async throws {
    try await withPool(method) { pool async throws in
      var results: Set<String> = []
      let inputs = (0..<3_000).map { "\($0)" }
      for try await result in pool.results(of: inputs, inOrder: false, body: { $0 + "!" }) {
        #expect(results.insert(result).inserted)
      }
      #expect(results == Set(inputs.map { $0 + "!" }))
    }
  }

  @Test("asynchronous bodies, tasks and asynchronous inputs stream too", arguments: startMethods)
  func forms(_ method: StartMethod) async throws {
    try await withPool(method) { pool async throws in
      let doubled = pool.results(of: 0..<50) { (n: Int) async throws -> Int in n * 2 }
      #expect(try await doubled.reduce(into: []) { $0.append($1) } == (0..<50).map { $0 * 2 })
      let offsets = pool.results(of: (0..<50).map { Offset(number: $0) })
      #expect(try await offsets.reduce(into: []) { $0.append($1) } == Array(100..<150))
      let (stream, input) = AsyncStream<Int>.makeStream()
      for number in 0..<500 { input.yield(number) }
      input.finish()
      let squares = pool.results(of: stream) { $0 * $0 }
      #expect(try await squares.reduce(into: []) { $0.append($1) } == (0..<500).map { $0 * $0 })
    }
  }

  @Test("an asynchronous input that has nothing now holds nothing up")
  func slowInput() async throws {
    try await withPool { pool async throws in
      let (stream, input) = AsyncStream<Int>.makeStream()
      var iterator = pool.results(of: stream) { $0 + 1 }.makeAsyncIterator()
      for number in 0..<20 {
        input.yield(number)
        #expect(try await iterator.next() == number + 1)
      }
      input.finish()
      #expect(try await iterator.next() == nil)
    }
  }

  @Test("an endless input is pulled no further ahead than the window", arguments: [1, 4, 64])
  func endless(_ window: Int) async throws {
    let counter = Counter()
    try await withPool(.forkServer, { $0.window = window }) { pool async throws in
      var taken = 0
      for try await result in pool.results(of: Endless(counter: counter), body: { $0 + 1 }) {
        taken += 1
        #expect(result == taken)
        #expect(counter.value <= taken + window + 1)
        if taken == 300 { break }
      }
    }
  }

  @Test("without a window too the input is pulled a bounded number of records ahead")
  func endlessWithoutWindow() async throws {
    let counter = Counter()
    try await withPool { pool async throws in
      for try await result in pool.results(of: Endless(counter: counter), body: { $0 }) {
        if result == 10 { break }
      }
      // 8 records of at most 250 us, of items that take some 50 ns at least.
      #expect(counter.value < 100_000)
      #expect(try await pool.run(1) { $0 + 1 } == 2)
    }
  }

  @Test("leaving the loop cancels the rest", arguments: startMethods)
  func leaving(_ method: StartMethod) async throws {
    try await withPool(method) { pool async throws in
      for try await _ in pool.results(of: 0..<1_000_000, body: { $0 }) { break }
      try await until { pool.statistics.pending == 0 }
      #expect(pool.statistics.submitted < 1_000_000)
      #expect(pool.statistics.addsUp)
    }
  }

  @Test(
    "in order, the results before a failure come first, then its error", arguments: startMethods)
  func orderedFailure(_ method: StartMethod) async throws {
    try await withPool(method) { pool async throws in
      var count = 0
      let error = await #expect(throws: ProcessError.self) {
        for try await _ in pool.results(
          of: 0..<5_000,
          body: { (n: Int) -> Int in
            if n == 777 { Crash.killed.perform() }
            return n
          })
        { count += 1 }
      }
      #expect(count == 777)
      let report = try crashReport(of: error)
      #expect(report.taskIndex == 777)
      #expect(pool.statistics.pending == 0)
      #expect(pool.statistics.addsUp)
      #expect(try await pool.run(1) { $0 + 1 } == 2)
    }
  }

  @Test("without an order too the first failure ends the stream", arguments: startMethods)
  func unorderedFailure(_ method: StartMethod) async throws {
    struct Odd: Error, Codable, Equatable { var number: Int }
    try await withPool(method) { pool async throws in
      let results = pool.results(of: 0..<5_000, inOrder: false) { (n: Int) throws -> Int in
        if n == 40 { throw Odd(number: n) }
        return n
      }
      var iterator = results.makeAsyncIterator()
      await #expect(throws: Odd(number: 40)) { while try await iterator.next() != nil {} }
      #expect(try await iterator.next() == nil)
      #expect(pool.statistics.pending == 0)
    }
  }

  @Test("cancelling the consumer ends the stream with CancellationError")
  func cancelled() async throws {
    try await withPool { pool async throws in
      let counter = Counter()
      let task = Task {
        for try await _ in pool.results(of: Endless(counter: counter), body: { $0 }) {}
      }
      try await until { counter.value > 100 }
      task.cancel()
      await #expect(throws: CancellationError.self) { try await task.value }
      #expect(pool.statistics.pending == 0)
    }
  }

  @Test("no input at all, a second iteration, a refused body, a pool that has ended")
  func edges() async throws {
    try await withPool { pool async throws in
      for try await _ in pool.results(of: [Int](), body: { $0 }) {
        Issue.record("there is no input")
      }
      let results = pool.results(of: 0..<3) { $0 }
      #expect(try await results.reduce(0, +) == 3)
      _ = try configurationProblem(
        of: await #expect(throws: ProcessError.self) { try await results.reduce(0, +) })
      let captured = Int.random(in: 1...9)
      let refused = pool.results(of: 0..<3) { $0 + captured }
      _ = try transferFailure(
        of: await #expect(throws: ProcessError.self) { try await refused.reduce(0, +) })
      await pool.shutdown()
      await #expect { try await pool.results(of: 0..<3) { $0 }.reduce(0, +) } throws: {
        isClosed($0)
      }
    }
  }

  @Test("several streams of one pool run beside each other")
  func beside() async throws {
    try await withPool { pool async throws in
      let sums = try await withThrowingTaskGroup(of: Int.self) { group in
        for offset in 0..<4 {
          group.addTask {
            try await pool.results(of: offset..<(offset + 5_000), inOrder: offset % 2 == 0) { $0 }
              .reduce(0, +)
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }.sorted()
      }
      #expect(sums == (0..<4).map { (($0)..<($0 + 5_000)).reduce(0, +) })
    }
  }
}
