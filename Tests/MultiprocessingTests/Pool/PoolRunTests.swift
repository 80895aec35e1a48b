// `run`: one body, one result, from one task or from many.

import Glibc
import Multiprocessing
import Testing

private func double(_ n: Int) -> Int { n * 2 }

private struct CodableError: Error, Codable, Equatable {
  var code: Int
}

private enum PlainError: Error {
  case broken(Int)
}

private struct Repeat: ProcessTask {
  var text: String
  var count: Int
  func run() async throws -> String { String(repeating: text, count: count) }
}

@Suite("Running tasks in a pool", .serialized, .timeLimit(.minutes(2)))
struct PoolRunTests {
  @Test("every form of run returns what its body returns", arguments: startMethods)
  func forms(_ method: StartMethod) async throws {
    try await withPool(method) { pool in
      #expect(try await pool.run(21) { $0 * 2 } == 42)
      #expect(try await pool.run("a", 3) { String(repeating: $0, count: $1) } == "aaa")
      #expect(try await pool.run { "nothing" } == "nothing")
      #expect(try await pool.run(21, body: double) == 42)
      let later = try await pool.run(3) { (n: Int) async throws -> Int in
        try await Task.sleep(for: .milliseconds(1))
        return n + 1
      }
      #expect(later == 4)
      let pair = try await pool.run(3) { ($0, "three") }
      #expect(pair == (3, "three"))
      let triple = try await pool.run(3) { (n: Int) async throws -> (Int, String, [Int]) in
        await Task.yield()
        return (n, "three", [n])
      }
      #expect(triple == (3, "three", [3]))
      #expect(try await pool.run(Repeat(text: "ab", count: 2)) == "abab")
      let flags = try SharedFlags(count: 2)
      try await pool.run(flags) { flags -> Void in flags[0] = 1 }
      try await pool.run(flags) { (flags: SharedFlags) async throws -> Void in
        await Task.yield()
        flags[1] = 2
      }
      #expect(Array(flags) == [1, 2])
      #expect(pool.statistics.succeeded == 10)
    }
  }

  @Test("tasks run in the pool's workers, each a process of its own", arguments: startMethods)
  func workers(_ method: StartMethod) async throws {
    try await withPool(method, workers: 3) { pool in
      let identifiers = pool.workers.map(\.processIdentifier)
      #expect(Set(identifiers).count == 3)
      #expect(!identifiers.contains(getpid()))
      #expect(identifiers.contains(try await pool.run { getpid() }))
      #expect(try await pool.broadcast { getpid() } == identifiers)
      let indices = try await pool.broadcast { CurrentProcess.workerIndex }
      #expect(indices == [0, 1, 2])
      #expect(pool.workerCount == 3)
      #expect(pool.workers.map(\.id) == [0, 1, 2])
      #expect(pool.workers.map(\.taskCount).reduce(0, +) == 7)
      #expect(pool.workers.allSatisfy { $0.residentByteCount > 0 })
    }
  }

  @Test("a broadcast reaches every worker, with arguments too", arguments: startMethods)
  func broadcast(_ method: StartMethod) async throws {
    try await withPool(method, workers: 3) { pool in
      let flags = try SharedFlags(count: 3)
      try await pool.broadcast(flags, 7) { (flags: SharedFlags, value: Int32) -> Void in
        flags[CurrentProcess.workerIndex ?? 0] += value
      }
      #expect(Array(flags) == [7, 7, 7])
      let texts = try await pool.broadcast("w", 1) {
        "\($0)\($1 + (CurrentProcess.workerIndex ?? 0))"
      }
      #expect(texts == ["w1", "w2", "w3"])
      let later = try await pool.broadcast { () async throws -> Int? in
        await Task.yield()
        return CurrentProcess.workerIndex
      }
      #expect(later == [0, 1, 2])
      try await pool.warmUp()
    }
  }

  @Test("a hundred tasks at once all return their own result", arguments: startMethods)
  func concurrentRuns(_ method: StartMethod) async throws {
    try await withPool(method) { pool in
      let results = try await withThrowingTaskGroup(of: (Int, Int).self) { group in
        for index in 0..<100 {
          group.addTask { (index, try await pool.run(index) { $0 * 3 }) }
        }
        return try await group.reduce(into: [Int: Int]()) { $0[$1.0] = $1.1 }
      }
      #expect(results == Dictionary(uniqueKeysWithValues: (0..<100).map { ($0, $0 * 3) }))
      #expect(pool.statistics.succeeded == 100)
    }
  }

  @Test("workers run at the same time", arguments: startMethods)
  func simultaneous(_ method: StartMethod) async throws {
    try await withPool(method) { pool in
      // Each waits for the other: one after the other they would never end.
      let flags = try SharedFlags(count: 2)
      let meet: @Sendable (SharedFlags, Int) -> Bool = { flags, own in
        flags[own] = 1
        while flags[1 - own] == 0 { usleep(100) }
        return true
      }
      async let first = pool.run(flags, 0, body: meet)
      async let second = pool.run(flags, 1, body: meet)
      #expect(try await [first, second] == [true, true])
    }
  }

  @Test("8 MB go there and back", arguments: startMethods)
  func large(_ method: StartMethod) async throws {
    try await withPool(method) { pool async throws in
      for _ in 0..<3 {
        // A period that no power of two hides.
        let bytes = Array(repeatElement([UInt8](0..<251), count: 32_000).joined())
        #expect(try await pool.run(bytes) { $0 + [7] } == bytes + [7])
      }
      let texts = (0..<50_000).map { "a text of some forty bytes, number \($0)" }
      #expect(try await pool.run(texts) { $0 + ["end"] } == texts + ["end"])
    }
  }

  @Test("errors arrive by their type", arguments: startMethods)
  func errors(_ method: StartMethod) async throws {
    try await withPool(method) { pool in
      await #expect(throws: CodableError(code: 4)) {
        try await pool.run(4) { (n: Int) -> Int in throw CodableError(code: n) }
      }
      await #expect(throws: CodableError(code: 5)) {
        try await pool.map([1, 5, 9]) { (n: Int) -> Int in
          if n == 5 { throw CodableError(code: n) }
          return n
        }
      }
      let error = await #expect(throws: ProcessError.self) {
        try await pool.run(6) { (n: Int) async throws -> Int in throw PlainError.broken(n) }
      }
      guard case .failed(let remote)? = error else {
        Issue.record("\(String(describing: error))")
        return
      }
      #expect(remote.typeName == "MultiprocessingTests.PlainError")
      #expect(remote.message == "broken(6)")
      #expect(pool.statistics.failed == 3)
      #expect(pool.statistics.crashed == 0)
      #expect(pool.statistics.restarts == 0)
    }
  }

  @Test("a worker can have a pool of its own", arguments: startMethods)
  func nested(_ method: StartMethod) async throws {
    try await withPool(method) { pool in
      let results = try await pool.run(20, method.rawValue) {
        (n: Int, name: String) async throws -> [Int] in
        let method = StartMethod(rawValue: name) ?? .fork
        return try await withProcessPool(
          workers: 2, configuration: .init { $0.startMethod = method }
        ) {
          try await $0.map(0..<n) { $0 * $0 }
        }
      }
      #expect(results == (0..<20).map { $0 * $0 })
    }
  }

  @Test("two pools at once do not disturb each other", arguments: startMethods)
  func twoPools(_ method: StartMethod) async throws {
    try await withPool(method) { first in
      try await withPool(method) { second async throws in
        async let squares = first.map(0..<2_000) { $0 * $0 }
        async let texts = second.map(0..<2_000) { "\($0)" }
        #expect(try await squares == (0..<2_000).map { $0 * $0 })
        #expect(try await texts == (0..<2_000).map { "\($0)" })
      }
    }
  }

  @Test(
    "3 GiB go to a worker",
    .enabled(
      if: isEnabled("MPROC_LARGE_TESTS"),
      "needs about 12 GiB of memory; set MPROC_LARGE_TESTS=1 to run it"),
    arguments: startMethods)
  func huge(_ method: StartMethod) async throws {
    try await withPool(method, workers: 1) { pool in
      let count = 3 << 30
      let bytes = [UInt8](repeating: 5, count: count)
      let answer = try await pool.run(bytes) { [$0.count, Int($0[0]), Int($0[$0.count - 1])] }
      #expect(answer == [count, 5, 5])
    }
  }
}
