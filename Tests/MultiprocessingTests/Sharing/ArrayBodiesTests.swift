// Bodies that work on shared arrays in place.

import Glibc
import Multiprocessing
import Testing

@Suite("Work on shared arrays in place", .timeLimit(.minutes(2)))
struct ArrayBodiesTests {
  @Test("every element is changed once, whatever the grain", arguments: startMethods)
  func inPlace(_ method: StartMethod) async throws {
    try await withPool(method, workers: 2) { pool in
      for grain in [nil, 1, 7, 1_000, 5_000] {
        let count = grain == 1 ? 300 : 1_000
        let array = try SharedArray((0..<count).map { Double($0) })
        try await pool.forEach(over: array, grain: grain) { part, range in
          for index in part.indices {
            // The elements are those of the range.
            part[index] = part[index] == Double(range.lowerBound + index) ? -part[index] - 1 : 0
          }
        }
        #expect(Array(array) == (0..<count).map { -Double($0) - 1 })
      }
      let parts = pool.statistics
      #expect(parts.addsUp)
    }
  }

  @Test(
    "a stencil reads the whole of one array and writes parts of another", arguments: startMethods)
  func stencil(_ method: StartMethod) async throws {
    try await withPool(method, workers: 2) { pool in
      let old = try SharedArray((0..<5_000).map { Float($0 * $0 % 97) })
      let new = try SharedArray<Float>(count: 5_000)
      try await pool.map(over: old, into: new) { old, part, range in
        for index in range where index > 0 && index < old.count - 1 {
          part[index - range.lowerBound] = (old[index - 1] + old[index] + old[index + 1]) / 3
        }
      }
      let expected = (0..<5_000).map { index -> Float in
        guard index > 0, index < 4_999 else { return 0 }
        return (old[index - 1] + old[index] + old[index + 1]) / 3
      }
      #expect(Array(new) == expected)
      // Other types, another size.
      let counts = try SharedArray<Int32>(count: 10)
      try await pool.map(over: old, into: counts, grain: 3) { old, part, range in
        for index in range {
          var count: Int32 = 0
          for position in old.indices where Int(old[position]) % 10 == index { count += 1 }
          part[index - range.lowerBound] = count
        }
      }
      #expect(Array(counts).reduce(0, +) == 5_000)
    }
  }

  @Test("a slice is worked on alone, and numbered from 0")
  func slices() async throws {
    try await withPool(.forkServer, workers: 2) { pool in
      let array = try SharedArray<Int>(count: 100, repeating: 1)
      try await pool.forEach(over: array[10..<20]) { part, range in
        for index in part.indices { part[index] = range.lowerBound + index }
      }
      #expect(Array(array[0..<10]) == Array(repeating: 1, count: 10))
      #expect(Array(array[10..<20]) == Array(0..<10))
      #expect(Array(array[20..<100]) == Array(repeating: 1, count: 80))
      try await pool.forEach(over: array[5..<5]) { _, _ in exit(1) }
    }
  }

  @Test("a body that fails ends the call, with the number of its part", arguments: startMethods)
  func failures(_ method: StartMethod) async throws {
    struct Odd: Error, Codable {}
    try await withPool(method, workers: 2) { pool async throws in
      let array = try SharedArray<Int>(count: 100)
      await #expect(throws: ProcessError.self) {
        try await pool.forEach(over: array, grain: 10) { part, range in
          part[0] = 1
          if range.lowerBound == 50 { kill(getpid(), SIGKILL) }
        }
      }
      do {
        try await pool.forEach(over: array, grain: 10) { part, range in
          // Past its end: a trap in the worker.
          if range.lowerBound == 50 { part[part.count] = 1 }
        }
        throw UnexpectedError()
      } catch ProcessError.crashed(let report) {
        #expect(report.taskIndex == 5)
      }
      #expect(array[50] == 1)
      let error = await #expect(throws: ProcessError.self) {
        try await pool.forEach(over: array, grain: 0) { _, _ in }
      }
      #expect(try configurationProblem(of: error).contains("grain of 0"))
    }
  }

  @Test("serial mode does the same")
  func inProcess() async throws {
    try await withPool(.forkServer, { $0.execution = .inProcess }) { pool async throws in
      let array = try SharedArray<UInt8>(count: 1_000, repeating: 3)
      try await pool.forEach(over: array) { part, _ in
        for index in part.indices { part[index] *= 2 }
      }
      #expect(Array(array) == Array(repeating: 6, count: 1_000))
    }
  }
}
