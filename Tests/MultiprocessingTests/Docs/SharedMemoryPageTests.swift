// The examples of docs/SharedMemory.md, run. `SnippetTests` sees to it that they are the same.

import Multiprocessing
import Testing

struct Totals: BitwiseCopyable, Sendable {
  var count = 0
  var sum = 0.0
}

@Suite("Examples of the page about shared memory", .serialized, .timeLimit(.minutes(2)))
struct SharedMemoryPageTests {
  @Test("arrays, in parts and in place")
  func arrays() async throws {
    try await withPool(.forkServer, workers: 2) { pool in
      let samples = try SharedArray<Float>(count: 1_000_000)
      try await pool.forEach(samples.chunks(8)) { part in
        part.withMutableSpan { span in
          for index in span.indices { span[index] = 1 }
        }
      }
      #expect(samples[0] == 1 && samples[999_999] == 1)
      try await pool.forEach(over: samples) { part, range in
        for index in part.indices { part[index] = Float(range.lowerBound + index) }
      }
      let smooth = try SharedArray<Float>(count: samples.count)
      try await pool.map(over: samples, into: smooth) { old, part, range in
        for index in range where index > 0 && index < old.count - 1 {
          part[index - range.lowerBound] = (old[index - 1] + old[index] + old[index + 1]) / 3
        }
      }
      #expect(smooth[500] == 500 && smooth[0] == 0)
    }
  }

  @Test("values that many change")
  func values() async throws {
    try await withPool(.forkServer, workers: 2) { pool in
      let totals = try SharedMutex(Totals())
      let done = try SharedAtomic(0)
      try await pool.forEach((0..<100).map { (totals, done, $0) }) { totals, done, number in
        totals.withLock { totals in
          totals.count += 1
          totals.sum += Double(number)
        }
        done.add(1)
      }
      #expect(done.load() == 100)
      #expect(try await totals.withLock { $0.sum } == 4_950)
    }
  }

  @Test("bytes, nodes, huge pages, names")
  func memory() throws {
    try? SharedMemory.unlink("weather")
    let near = try SharedMemory(byteCount: 1 << 20, node: CPUTopology.current.numaNodes.first?.id)
    let huge = try SharedArray<Double>(count: 1 << 18, huge: .ifAvailable)
    let named = try SharedMemory(named: "weather", byteCount: 4_096)
    try SharedMemory.unlink("weather")
    #expect(near.byteCount == 1 << 20 && huge.count == 1 << 18 && named.byteCount == 4_096)
  }
}
