// `map` and `forEach`: many inputs, results in their order.

import Glibc
import Multiprocessing
import Testing

private struct Halve: ProcessTask {
  var number: Int
  func run() async throws -> Int { number / 2 }
}

private struct CodableError: Error, Codable, Equatable {
  var code: Int
}

/// Counts how many elements were asked for, and calls back before each.
private struct CountedPulls: Sequence, IteratorProtocol {
  private var pulled = 0
  private let count: Int
  private let willPull: (Int) -> Void

  init(count: Int, willPull: @escaping (Int) -> Void) {
    self.count = count
    self.willPull = willPull
  }

  mutating func next() -> Int? {
    guard pulled < count else { return nil }
    pulled += 1
    willPull(pulled)
    return pulled - 1
  }
}

@Suite("Mapping over many inputs", .serialized, .timeLimit(.minutes(2)))
struct PoolMapTests {
  @Test("results come in the order of the inputs", arguments: startMethods)
  func order(_ method: StartMethod) async throws {
    try await withPool(method) { pool in
      let results = try await pool.map(0..<20_000) { (n: Int) -> Int in
        if n % 97 == 0 { usleep(200) }
        return n * n
      }
      #expect(results == (0..<20_000).map { $0 * $0 })
      #expect(pool.statistics.submitted == 20_000)
      #expect(pool.statistics.succeeded == 20_000)
      #expect(pool.statistics.pending == 0)
    }
  }

  @Test("every form of map returns what its body returns", arguments: startMethods)
  func forms(_ method: StartMethod) async throws {
    try await withPool(method) { pool in
      let texts = (0..<500).map { "\($0)" }
      #expect(try await pool.map(texts) { $0 + "!" } == texts.map { $0 + "!" })
      #expect(try await pool.map(Set([5])) { [$0] } == [[5]])
      let later = try await pool.map([1, 2, 3]) { (n: Int) async throws -> Int in
        try await Task.sleep(for: .milliseconds(1))
        return n + 1
      }
      #expect(later == [2, 3, 4])
      let pairs = try await pool.map([1, 2]) { ($0, "\($0)") }
      #expect(pairs.map(\.0) == [1, 2])
      #expect(pairs.map(\.1) == ["1", "2"])
      let triples = try await pool.map([1, 2]) { (n: Int) async throws -> (Int, Bool, [Int]) in
        (n, n > 1, [n])
      }
      #expect(triples.map(\.2) == [[1], [2]])
      #expect(
        try await pool.map(zip(1...3, ["a", "b", "c"])) { "\($0)\($1)" } == ["1a", "2b", "3c"])
      let sums = try await pool.map([(1, 2, 3.5), (4, 5, 6.5)]) {
        (a: Int, b: Int, c: Double) async throws -> Double in Double(a + b) + c
      }
      #expect(sums == [6.5, 15.5])
      #expect(try await pool.map(["x", "y"].enumerated()) { "\($0)\($1)" } == ["0x", "1y"])
      let indexed = try await pool.map(["x", "y"].enumerated()) {
        (index: Int, text: String) async throws -> String in "\(index)\(text)"
      }
      #expect(indexed == ["0x", "1y"])
      #expect(try await pool.map((0..<5).map(Halve.init)) == [0, 0, 1, 1, 2])
    }
  }

  @Test("forEach calls its body once for each input", arguments: startMethods)
  func forEach(_ method: StartMethod) async throws {
    try await withPool(method) { pool in
      let counts = try SharedFlags(count: 300)
      let slices = counts.chunks(100)
      try await pool.forEach(slices) { slice -> Void in
        for index in slice.indices { slice[index] += 1 }
      }
      try await pool.forEach(slices) { (slice: SharedFlags) async throws -> Void in
        await Task.yield()
        slice[0] += 10
      }
      try await pool.forEach(zip(slices, Int32(0)...)) { slice, number -> Void in
        slice[1] += number * 100
      }
      try await pool.forEach(zip(slices, 0...)) {
        (slice: SharedFlags, number: Int) async throws -> Void in
        slice[2] += 1_000
      }
      let expected = (0..<100).flatMap { (n: Int32) -> [Int32] in [11, 1 + n * 100, 1_001] }
      #expect(Array(counts) == expected)
    }
  }

  @Test("an empty input gives an empty result", arguments: startMethods)
  func empty(_ method: StartMethod) async throws {
    try await withPool(method) { pool in
      #expect(try await pool.map([Int]()) { $0 + 1 } == [])
      #expect(try await pool.map([String]()) { $0 } == [])
      #expect(try await pool.map(AnySequence<Int>([])) { $0 } == [])
      try await pool.forEach([Int]()) { _ in }
      #expect(pool.statistics.isUntouched)
    }
  }

  @Test("large inputs and results keep their order", arguments: startMethods)
  func large(_ method: StartMethod) async throws {
    try await withPool(method) { pool async throws in
      let inputs = (0..<12).map { [UInt8](repeating: UInt8($0), count: 500_000 * $0) }
      #expect(try await pool.map(inputs) { $0 + [1] } == inputs.map { $0 + [1] })
    }
  }

  @Test("results that outgrow the ring amid a chunk keep their order", arguments: startMethods)
  func largeAmidChunk(_ method: StartMethod) async throws {
    try await withPool(method, workers: 1, { $0.chunkSize = .fixed(8) }) { pool async throws in
      let sizes = (0..<64).map { $0 % 5 == 3 ? 300_000 : $0 }
      let results = try await pool.map(sizes) { [UInt8](repeating: UInt8($0 & 63), count: $0) }
      #expect(results == sizes.map { [UInt8](repeating: UInt8($0 & 63), count: $0) })
      #expect(pool.statistics.succeeded == 64)
    }
  }

  @Test("a chunk of a fixed size goes to one worker", arguments: startMethods, [1, 7])
  func fixedChunks(_ method: StartMethod, _ size: Int) async throws {
    try await withPool(method, { $0.chunkSize = .fixed(size) }) { pool in
      let workers = try await pool.map(0..<100) { (n: Int) -> [Int] in [n, Int(getpid())] }
      #expect(workers.map { $0[0] } == Array(0..<100))
      for start in stride(from: 0, to: 100, by: size) {
        #expect(Set(workers[start..<min(100, start + size)].map { $0[1] }).count == 1)
      }
      #expect(pool.statistics.succeeded == 100)
    }
  }

  @Test("two long items run on two workers at the same time", arguments: startMethods)
  func bothWorkers(_ method: StartMethod) async throws {
    try await withPool(method) { pool in
      // Neither of the two ends before the other has begun, or 2 s have passed.
      let flags = try SharedFlags(count: 2)
      let met = try await pool.map(zip([0, 1], [flags, flags])) {
        (own: Int, flags: SharedFlags) -> Bool in
        flags[own] = 1
        for _ in 0..<2_000 where flags[1 - own] == 0 { usleep(1_000) }
        return flags[1 - own] == 1
      }
      #expect(met == [true, true])
    }
  }

  @Test("inputs are pulled no further ahead than the window", arguments: startMethods, [1, 4])
  func window(_ method: StartMethod, _ window: Int) async throws {
    try await withPool(method, { $0.window = window }) { pool async throws in
      var furthest = 0
      let inputs = CountedPulls(count: 200) { pulled in
        furthest = max(furthest, pulled - pool.statistics.succeeded)
      }
      #expect(try await pool.map(inputs) { $0 + 1 } == Array(1...200))
      #expect(furthest >= 1)
      #expect(furthest <= window)
    }
  }

  @Test("an error ends a map over an input without an end", arguments: startMethods)
  func endless(_ method: StartMethod) async throws {
    try await withPool(method) { pool async throws in
      await #expect(throws: CodableError(code: 500)) {
        try await pool.map(0...) { (n: Int) -> Int in
          if n == 500 { throw CodableError(code: n) }
          return n
        }
      }
      #expect(pool.statistics.pending == 0)
      #expect(pool.statistics.addsUp)
      #expect(try await pool.run(1) { $0 + 1 } == 2)
    }
  }

  @Test("what has not begun when an item fails never runs", arguments: startMethods)
  func failsFast(_ method: StartMethod) async throws {
    try await withPool(method, { $0.chunkSize = .fixed(1) }) { pool in
      let inputs = 1_000_000
      await #expect(throws: CodableError(code: 3)) {
        try await pool.map(0..<inputs) { (n: Int) -> Int in
          usleep(100)
          if n == 3 { throw CodableError(code: n) }
          return n
        }
      }
      #expect(pool.statistics.submitted < inputs)
      #expect(pool.statistics.failed == 1)
      #expect(pool.statistics.addsUp)
      #expect(pool.statistics.pending == 0)
    }
  }

  @Test("a map that finds every worker busy waits in the queue", arguments: startMethods)
  func everyWorkerBusy(_ method: StartMethod) async throws {
    try await withPool(method, workers: 1) { pool in
      let flags = try SharedFlags(count: 2)
      let running = try await holdWorker(of: pool, flags)
      let mapped = Task { try await pool.map(0..<100) { $0 + 1 } }
      // Not asking again and again, which would keep a thread from others.
      try await until { pool.statistics.submitted == 2 }
      flags[1] = 1
      #expect(try await running.value == 5)
      #expect(try await mapped.value == Array(1...100))
      #expect(pool.statistics.addsUp)
    }
  }
}
