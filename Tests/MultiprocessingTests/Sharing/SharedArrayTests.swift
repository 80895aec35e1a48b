// Arrays that several processes map.

import Foundation
import Glibc
import Multiprocessing
import Testing

private struct Image: Codable, Sendable {
  var name: String
  var pixels: SharedArray<UInt8>
  var rows: [SharedArray<UInt8>]
}

/// Not private: a generic type over a private one has no name.
struct Corner: BitwiseCopyable, Sendable, Equatable {
  var x: Double
  var y: Int32
}

@Suite("Shared arrays", .serialized, .timeLimit(.minutes(2)))
struct SharedArrayTests {
  @Test(
    "what a worker writes the application sees, and the other way round", arguments: startMethods)
  func sameMemory(_ method: StartMethod) async throws {
    try await withPool(method) { pool in
      let array = try SharedArray<Int>(count: 1_000)
      array[0] = 5
      let before = try await pool.run(array) { (array: SharedArray<Int>) -> Int in
        let before = array[0]
        for index in array.indices { array[index] = index * index }
        return before
      }
      #expect(before == 5)
      #expect(Array(array) == (0..<1_000).map { $0 * $0 })
      array[999] = -1
      #expect(try await pool.broadcast(array) { $0[999] } == [-1, -1])
    }
  }

  @Test("a child process maps the same memory", arguments: startMethods)
  func child(_ method: StartMethod) async throws {
    let array = try SharedArray([Corner(x: 1.5, y: 2), Corner(x: 2.5, y: 3)])
    let child = try ChildProcess(array, options: ProcessOptions(method)) {
      (array: SharedArray<Corner>) -> Int in
      array[1] = Corner(x: array[0].x * 2, y: -1)
      return array.count
    }
    #expect(try await child.value == 2)
    #expect(Array(array) == [Corner(x: 1.5, y: 2), Corner(x: 3, y: -1)])
  }

  @Test("slices are parts of the same memory", arguments: startMethods)
  func slices(_ method: StartMethod) async throws {
    let array = try SharedArray(Array(0..<100))
    let slice = array[10..<20]
    #expect(Array(slice) == Array(10..<20))
    #expect(slice.indices == 0..<10)
    #expect(Array(slice[3..<5]) == [13, 14])
    slice[0] = -1
    #expect(array[10] == -1)
    try await withPool(method) { pool in
      try await pool.forEach(array.chunks(7)) { part in
        for index in part.indices { part[index] = Int(getpid()) }
      }
      let workers = Set(pool.workers.map { Int($0.processIdentifier) })
      #expect(Array(array).allSatisfy(workers.contains))
      try await pool.run(slice[2..<4]) { slice -> Void in
        for index in slice.indices { slice[index] = index }
      }
      #expect(array[12] == 0 && array[13] == 1)
      #expect(workers.contains(array[11]) && workers.contains(array[14]))
    }
  }

  @Test("chunks cover the array in parts of almost equal size", arguments: [1, 3, 7, 10, 25])
  func chunks(_ parts: Int) throws {
    let array = try SharedArray(Array(0..<10))
    let chunks = array.chunks(parts)
    #expect(chunks.count == min(parts, 10))
    #expect(chunks.flatMap { Array($0) } == Array(0..<10))
    let sizes = chunks.map(\.count)
    #expect(sizes == sizes.sorted(by: >))
    #expect(sizes[0] - sizes[sizes.count - 1] <= 1)
  }

  @Test(
    "an index or a range outside the bounds ends the process", arguments: [-1, 3, Int.max, Int.min])
  func bounds(_ index: Int) async throws {
    let array = try SharedArray<UInt8>(count: 9)[3..<6]
    let options = ProcessOptions(.forkServer) { $0.standardError = .discard }
    let crashes: [ChildProcess<Int>] = [
      try ChildProcess(array, index, options: options) { Int($0[$1]) },
      try ChildProcess(array, index, options: options) {
        (array: SharedArray<UInt8>, index: Int) -> Int in
        array[index] = 1
        return 0
      },
      try ChildProcess(array, index, options: options) {
        $1 < 0 ? $0[$1..<1].count : $0[min($1, 2)..<($1 &+ 1 < 0 ? $1 : $1 + 1)].count
      },
    ]
    for child in crashes {
      let report = try crashReport(
        of: await #expect(throws: ProcessError.self) { try await child.value })
      #expect(Crash.indexOutOfRange.matches(report.exitStatus))
    }
    #expect(Array(array) == [0, 0, 0])
  }

  @Test("spans see and change the memory")
  func spans() throws {
    let array = try SharedArray(count: 4, repeating: 1.5)
    array.withMutableSpan { span in
      for index in span.indices { span[index] += Double(index) }
    }
    #expect(array.withSpan { span in span.indices.reduce(0) { $0 + span[$1] } } == 12)
    #expect(array[1..<3].withSpan { $0.count } == 2)
  }

  @Test("a handle travels inside a value, and memory seen twice is one", arguments: startMethods)
  func insideStructure(_ method: StartMethod) async throws {
    try await withPool(method) { pool in
      let pixels = try SharedArray<UInt8>(count: 12)
      let image = Image(name: "i", pixels: pixels, rows: pixels.chunks(3))
      let answer = try await pool.run([image]) { (images: [Image]) -> [UInt8] in
        for (number, row) in images[0].rows.enumerated() { row[0] = UInt8(number + 1) }
        return Array(images[0].pixels)
      }
      #expect(answer == [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0])
      #expect(Array(pixels) == answer)
    }
  }

  @Test("a worker keeps memory mapped from task to task", arguments: startMethods)
  func staysMapped(_ method: StartMethod) async throws {
    let array = try SharedArray<UInt8>(count: 16 << 20)
    try await withPool(method, workers: 1) { pool in
      // A page fault for each of 4,096 pages, or none.
      func touch() async throws -> Int {
        try await pool.run(array) { (array: SharedArray<UInt8>) -> Int in
          var usage = rusage()
          unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
          let before = usage.ru_minflt
          array.withMutableSpan { span in
            for index in stride(from: 0, to: span.count, by: 4_096) { span[index] &+= 1 }
          }
          unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
          return usage.ru_minflt - before
        }
      }
      let (first, second) = try await (touch(), touch())
      #expect(first > 1_000)
      #expect(second < 100)
      #expect(array[0] == 2)
    }
  }

  @Test(
    "a handle of what the receiver does not have is refused, at any depth", arguments: startMethods)
  func strangeResults(_ method: StartMethod) async throws {
    let options = ProcessOptions(startMethod: method)
    let error = await #expect(throws: ProcessError.self) {
      try await ChildProcess(options: options) { try SharedArray([1, 2]) }.value
    }
    #expect(try transferFailure(of: error).reason.contains("not in this process"))
    // In a child that starts a child of its own, which must not wait for what never comes.
    let text = try await ChildProcess(method.rawValue, options: options) {
      (method: String) async throws -> String in
      let options = ProcessOptions(startMethod: StartMethod(rawValue: method) ?? .spawn)
      do {
        _ = try await ChildProcess(options: options) { try SharedArray([1, 2]) }.value
        return "accepted"
      } catch {
        return "\(error)"
      }
    }.value
    #expect(text.contains("not in this process"))
  }

  @Test("a handle outside a transfer cannot be encoded or decoded")
  func outsideTransfer() throws {
    let array = try SharedArray([1, 2, 3])
    #expect(throws: EncodingError.self) { try JSONEncoder().encode(array) }
    let memory = try SharedMemory(byteCount: 8)
    #expect(throws: EncodingError.self) { try JSONEncoder().encode([memory]) }
    #expect(throws: DecodingError.self) {
      try JSONDecoder().decode(SharedMemory.self, from: Data("1".utf8))
    }
    #expect(throws: DecodingError.self) {
      try JSONDecoder().decode(
        SharedArray<Int>.self, from: Data(#"{"memory":1,"offset":0,"count":1}"#.utf8))
    }
  }

  @Test("an array of no elements works everywhere", arguments: startMethods)
  func empty(_ method: StartMethod) async throws {
    let array = try SharedArray<Int>(count: 0)
    #expect(array.count == 0)
    #expect(Array(array) == [])
    #expect(array.chunks(3).map(\.count) == [0])
    #expect(array.withSpan { $0.count } == 0)
    try await withPool(method) { pool async throws in
      #expect(try await pool.run(array) { $0.count } == 0)
    }
    let slice = try SharedArray([1, 2])[2..<2]
    #expect(try await ChildProcess(slice, options: ProcessOptions(method)) { $0.count }.value == 0)
  }

  @Test("a size that makes no sense is refused", arguments: [-1, Int.min, Int.max, Int.max / 8])
  func sizes(_ count: Int) {
    #expect(throws: ProcessError.self) { try SharedArray<Int>(count: count) }
    #expect(throws: ProcessError.self) {
      try SharedMemory(byteCount: count == Int.max / 8 ? -1 : count)
    }
  }

  @Test("shared memory starts with zeros and carries bytes", arguments: startMethods)
  func memory(_ method: StartMethod) async throws {
    let memory = try SharedMemory(byteCount: 10_000)
    #expect(memory.byteCount == 10_000)
    let sum = try await ChildProcess(memory, options: ProcessOptions(method)) {
      (memory: SharedMemory) -> Int in
      memory.withMutableBytes { bytes in
        for index in 0..<bytes.byteCount {
          bytes.storeBytes(of: UInt8(index % 10), toByteOffset: index, as: UInt8.self)
        }
      }
      return memory.byteCount
    }.value
    #expect(sum == 10_000)
    let total = memory.withBytes { bytes in
      (0..<bytes.byteCount).reduce(0) {
        unsafe $0 + Int(bytes.unsafeLoad(fromByteOffset: $1, as: UInt8.self))
      }
    }
    #expect(total == 45_000)
  }

  @Test("an element written in a task that crashes is still there", arguments: startMethods)
  func survivesCrash(_ method: StartMethod) async throws {
    try await withPool(method, workers: 1) { pool in
      let array = try SharedArray<Int>(count: 3)
      await #expect(throws: ProcessError.self) {
        try await pool.run(array) { array -> Void in
          array[1] = 7
          Crash.killed.perform()
        }
      }
      #expect(Array(array) == [0, 7, 0])
      #expect(try await pool.run(array) { Array($0) } == [0, 7, 0])
    }
  }
}
