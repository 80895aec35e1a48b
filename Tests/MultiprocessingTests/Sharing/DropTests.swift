// What shared objects leave behind: nothing, once their last handle is gone.

import Foundation
import Glibc
import Multiprocessing
import Testing

/// What the calling process holds: descriptors, mappings of shared objects.
private func holdings() -> [Int] {
  let descriptors = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
  let maps = FileHandle(forReadingAtPath: "/proc/self/maps")?.readDataToEndOfFile() ?? Data()
  let lines = String(decoding: maps, as: UTF8.self).split(separator: "\n")
  return [
    descriptors.count, lines.count { $0.contains("mproc-shared") || $0.contains("mproc-queue") },
  ]
}

@Suite("Shared objects that are dropped", .serialized, .timeLimit(.minutes(2)))
struct DropTests {
  /// Ten times as many with MPROC_LARGE_TESTS=1: each is a pass through threads that all tests share.
  private static let cycles = isEnabled("MPROC_LARGE_TESTS") ? 10_000 : 1_000

  /// Makes, sends and drops objects; then worker and application hold what they held.
  private func leavesNothing(
    _ cycle: (ProcessPool) async throws -> Void
  ) async throws {
    try await withPool(.forkServer, workers: 1) { pool async throws in
      for _ in 0..<10 { try await cycle(pool) }
      let before = try await (pool.run { holdings() }, holdings())
      for _ in 0..<Self.cycles { try await cycle(pool) }
      // Other tests run meanwhile, in this process.
      try await until {
        zip(holdings(), before.1).allSatisfy { $0 < $1 + Self.cycles / 10 }
      }
      // The worker is told a moment later.
      var after = try await pool.run { holdings() }
      while after[0] > before.0[0] + 2 || after[1] > before.0[1] + 2 {
        try await Task.sleep(for: .milliseconds(5))
        after = try await pool.run { holdings() }
      }
    }
  }

  @Test("thousands of arrays")
  func arrays() async throws {
    try await leavesNothing { pool in
      let array = try SharedArray([1, 2, 3])
      let last = try await pool.run(array) { (array: SharedArray<Int>) in array[2] }
      #expect(last == 3)
    }
  }

  @Test("thousands of every type", arguments: SharedKind.allCases)
  func everyType(_ kind: SharedKind) async throws {
    try await leavesNothing { pool in
      let (telling, waiting) = try SharedThing.pair(kind)
      try await pool.forEach([telling, waiting]) { (_: SharedThing) in }
    }
  }

  @Test("thousands of connections")
  func connections() async throws {
    try await leavesNothing { pool in
      let (here, there) = try Connection<Int, Int>.pair()
      try await pool.run(there) { (there: Connection<Int, Int>) in try there.send(7) }
      there.close()
      #expect(try await here.receive() == 7)
      #expect(try await here.receive() == nil)
    }
  }

  @Test("thousands of queues")
  func queues() async throws {
    try await leavesNothing { pool in
      let queue = try SharedQueue<SharedArray<Int>>(capacity: 2)
      try await pool.run(queue) { (queue: SharedQueue<SharedArray<Int>>) in
        try queue.send(try SharedArray([5]))
      }
      let array = try #require(try queue.tryReceive())
      #expect(array[0] == 5)
    }
  }

  @Test("thousands of handles in messages")
  func messages() async throws {
    let (here, there) = try Connection<SharedArray<Int>, Never>.pair()
    for number in 0..<Self.cycles {
      try await here.send(SharedArray([number]))
      let array = try #require(try await there.receive())
      #expect(array[0] == number)
    }
    try await until { holdings()[0] < Self.cycles / 10 && holdings()[1] < Self.cycles / 10 }
  }
}
