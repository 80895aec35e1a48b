// Memory on NUMA nodes, as far as a machine with any number of nodes can show it; Tests/NUMA has the rest.

import Multiprocessing
import Testing

@Suite("Memory on NUMA nodes", .timeLimit(.minutes(2)))
struct NUMAMemoryTests {
  private static let node = CPUTopology.current.numaNodes.first { $0.memoryByteCount > 0 }?.id ?? 0

  @Test("memory on a node works as any other", arguments: startMethods)
  func there(_ method: StartMethod) async throws {
    let array = try SharedArray(0..<10_000, node: Self.node)
    try await withPool(method) { pool in
      try await pool.forEach(array.chunks(4)) { (part: SharedArray<Int>) in
        for index in part.indices { part[index] += 1 }
      }
    }
    #expect(Array(array) == Array(1...10_000))
    #expect(try SharedMemory(byteCount: 0, node: Self.node).byteCount == 0)
  }

  @Test(
    "a node that is not there is an error that names it", arguments: [-1, 1_000, 5_000, Int.max])
  func absent(_ node: Int) throws {
    #expect(throws: ProcessError.self) { try SharedMemory(byteCount: 1, node: node) }
    let error = #expect(throws: ProcessError.self) { try SharedArray<Int>(count: 1, node: node) }
    #expect(try configurationProblem(of: error).contains("node \(node)"))
  }

  @Test("a policy of nodes that are not there starts nothing", arguments: startMethods)
  func absentPolicy(_ method: StartMethod) throws {
    for policy: MemoryPolicy in [
      .bind([5_000]), .preferred(-1), .interleave([0, 5_000]), .bind([]),
    ] {
      let options = ProcessOptions(startMethod: method, memoryPolicy: policy)
      let child = #expect(throws: ProcessError.self) { try ChildProcess(options: options) { 1 } }
      #expect(try configurationProblem(of: child).contains("node"))
      let pool = #expect(throws: ProcessError.self) {
        try ProcessPool(workers: 1, configuration: .init { $0.processOptions = options })
      }
      #expect(try configurationProblem(of: pool).contains("node"))
    }
  }

  @Test("every policy of nodes that are there is taken", arguments: startMethods)
  func presentPolicy(_ method: StartMethod) async throws {
    let node = Self.node
    for policy: MemoryPolicy in [
      .default, .local, .bind([node]), .preferred(node), .interleave([node]),
    ] {
      let options = ProcessOptions(startMethod: method, memoryPolicy: policy)
      #expect(try await ChildProcess(options: options) { 1 }.value == 1)
    }
  }
}
