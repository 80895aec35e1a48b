// Every result and every error of many inputs: a failure leaves its neighbours as they are.

import Multiprocessing
import Testing

@Suite("Outcomes of many inputs", .serialized, .timeLimit(.minutes(2)))
struct PoolOutcomesTests {
  private struct Unlucky: Error, Codable, Equatable { var number: Int }

  /// Cannot be encoded where `fails` says so, or not decoded in a worker, or not in the application.
  struct Brittle: Codable, Sendable {
    enum Stage: String, Codable, CaseIterable { case encode, decode }
    var number: Int
    var fails: Stage?
    /// Plain bytes would need no code to be encoded.
    var text = ""

    private enum CodingKeys: CodingKey { case number, fails }

    init(_ number: Int, _ fails: Stage? = nil) {
      self.number = number
      self.fails = fails
    }

    func encode(to encoder: any Encoder) throws {
      if fails == .encode { throw Unlucky(number: number) }
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(number, forKey: .number)
      try container.encode(fails, forKey: .fails)
    }

    init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      number = try container.decode(Int.self, forKey: .number)
      fails = try container.decode(Stage?.self, forKey: .fails)
      if fails == .decode { throw Unlucky(number: number) }
    }
  }

  @Test("each input has one outcome, errors among the results", arguments: startMethods)
  func errors(_ method: StartMethod) async throws {
    try await withPool(method) { pool async throws in
      var seen: [Int: Result<Int, any Error>] = [:]
      for await (index, result) in pool.outcomes(
        of: 0..<2_000,
        body: { (n: Int) throws -> Int in
          if n % 7 == 0 { throw Unlucky(number: n) }
          return n * 2
        })
      {
        #expect(seen.updateValue(result, forKey: index) == nil)
      }
      #expect(seen.count == 2_000)
      for (index, result) in seen {
        if index % 7 == 0 {
          #expect(throws: Unlucky(number: index)) { try result.get() }
        } else {
          #expect(try result.get() == index * 2)
        }
      }
      #expect(pool.statistics.failed == 286)
      #expect(pool.statistics.succeeded == 1_714)
      #expect(pool.statistics.cancelled == 0)
      #expect(pool.statistics.addsUp)
    }
  }

  @Test("a crash in a chunk costs the one item that ran", arguments: startMethods, [1, 10, 1_000])
  func crashes(_ method: StartMethod, _ chunk: Int) async throws {
    let fatal: Set = [0, 13, 499, 500, 999]
    try await withPool(method, { $0.chunkSize = .fixed(chunk) }) { pool async throws in
      var crashed: Set<Int> = []
      var succeeded = 0
      for await (index, result) in pool.outcomes(
        of: 0..<1_000,
        body: { (n: Int) -> Int in
          if [0, 13, 499, 500, 999].contains(n) { Crash.killed.perform() }
          return n
        })
      {
        switch result {
        case .success(let value):
          #expect(value == index)
          succeeded += 1
        case .failure(let error):
          let report = try crashReport(of: error)
          #expect(report.taskIndex == index)
          crashed.insert(index)
        }
      }
      #expect(crashed == fatal)
      #expect(succeeded == 995)
      #expect(pool.statistics.crashed == 5)
      #expect(pool.statistics.addsUp)
    }
  }

  @Test("what cannot be encoded or decoded fails alone", arguments: startMethods, [1, 8])
  func brittle(_ method: StartMethod, _ chunk: Int) async throws {
    try await withPool(method, { $0.chunkSize = .fixed(chunk) }) { pool async throws in
      let inputs = (0..<40).map { number in
        Brittle(number, number % 10 == 3 ? .encode : number % 10 == 6 ? .decode : nil)
      }
      var failed: Set<Int> = []
      for await (index, result) in pool.outcomes(
        of: inputs, body: { (b: Brittle) -> Int in b.number })
      {
        if case .failure = result {
          failed.insert(index)
        } else {
          #expect(try result.get() == index)
        }
      }
      #expect(failed == Set((0..<40).filter { $0 % 10 == 3 || $0 % 10 == 6 }))
      failed = []
      for await (index, result) in pool.outcomes(
        of: 0..<40,
        body: { (n: Int) -> Brittle in
          Brittle(n, n % 10 == 3 ? .encode : n % 10 == 6 ? .decode : nil)
        })
      {
        if case .failure = result { failed.insert(index) }
      }
      #expect(failed == Set((0..<40).filter { $0 % 10 == 3 || $0 % 10 == 6 }))
    }
  }

  @Test("a refused body, a closed pool, and cancellation give each input its error")
  func refusals() async throws {
    try await withPool { pool async throws in
      let captured = Int.random(in: 1...9)
      var count = 0
      for await (index, result) in pool.outcomes(of: 0..<5, body: { $0 + captured }) {
        #expect(index == count)
        _ = try transferFailure(of: #expect(throws: ProcessError.self) { try result.get() })
        count += 1
      }
      #expect(count == 5)
      let task = Task {
        var ended = 0
        for await (_, result) in pool.outcomes(of: 0..<1_000_000, body: { $0 }) {
          ended += 1
          if case .failure(let error) = result { #expect(error is CancellationError) }
          if ended == 10 { unsafe withUnsafeCurrentTask { unsafe $0?.cancel() } }
        }
        return ended
      }
      let ended = await task.value
      #expect(ended >= 10 && ended < 1_000_000)
      #expect(pool.statistics.pending == 0)
      #expect(pool.statistics.addsUp)
      await pool.shutdown()
      var closed = 0
      for await (_, result) in pool.outcomes(of: 0..<5, body: { $0 }) {
        #expect { try result.get() } throws: { isClosed($0) }
        closed += 1
      }
      #expect(closed == 5)
    }
  }

  @Test("a pool that ends meanwhile ends the stream, each input once")
  func shutdownMeanwhile() async throws {
    try await withPool { pool async throws in
      var seen: Set<Int> = []
      for await (index, _) in pool.outcomes(of: 0..<300, body: { $0 }) {
        #expect(seen.insert(index).inserted)
        if seen.count == 5 { await pool.shutdown() }
      }
      #expect(seen.count == 300)
    }
  }
}
