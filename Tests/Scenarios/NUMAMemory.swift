// Where memory lies on a machine with several NUMA nodes, as the kernel tells it in /proc/self/numa_maps. Tests/NUMA
// runs this in machines that are made up; on a machine with one node it shows that everything works there too.

import Glibc
import Multiprocessing

enum NUMAMemory {
  private static let byteCount = 8 << 20
  private static let pageCount = byteCount / Int(getpagesize())

  static func run() async throws {
    let nodes = CPUTopology.current.numaNodes
    let withMemory = nodes.filter { $0.memoryByteCount > 0 }
    let withCPUs = nodes.filter { !$0.cpus.isDisjoint(with: CPUTopology.current.allowed) }
    for node in withMemory where isAllowed(node.id) {
      try await sharedMemory(on: node, touchedFrom: withCPUs)
      try await childMemory(on: node)
    }
    if nodes.count > 1 {
      for node in nodes where node.memoryByteCount == 0 || !isAllowed(node.id) {
        refuses(node.id)
      }
    }
    refuses((nodes.map(\.id).max() ?? 0) + 1)
    refuses(5_000)
    refuses(-1)
    try await interleaved(withMemory.map(\.id).filter(isAllowed))
    try await rings(nodes, workers: withCPUs.count)
    print("numa passed: \(nodes.count) nodes, \(withMemory.count) with memory")
  }

  /// Workers on every node touch the pages first.
  private static func sharedMemory(
    on node: CPUTopology.NUMANode, touchedFrom nodes: [CPUTopology.NUMANode]
  ) async throws {
    let array = try SharedArray<UInt8>(count: byteCount, node: node.id)
    let allowed = CPUTopology.current.allowed
    try await withProcessPool(
      workers: nodes.count, placement: .explicit(nodes.map { $0.cpus.intersection(allowed) })
    ) { pool in
      let parts = array.chunks(16 * nodes.count)
      try await pool.forEach(parts) { (part: SharedArray<UInt8>) in
        part.withMutableSpan { span in
          for index in span.indices { span[index] = 1 }
        }
      }
    }
    // The kernel counts what this process has touched, too.
    require(Array(array).allSatisfy { $0 == 1 }, "the workers' bytes are not here")
    let maps = maps("/memfd:mproc-shared")
    require(maps.count == 1, "\(maps.count) mappings of one piece of memory")
    expect(maps[0], pages: pageCount, on: node.id, "memory on node \(node.id)")
  }

  private static func refuses(_ node: Int) {
    do {
      _ = try SharedMemory(byteCount: 4_096, node: node)
      fail("there is memory on node \(node)")
    } catch .invalidConfiguration(let text) {
      require(text.contains("node \(node)"), "the error does not name the node: \(text)")
    } catch {
      fail("memory on node \(node): \(error)")
    }
    do {
      _ = try ChildProcess(options: ProcessOptions(memoryPolicy: .bind([node]))) { 1 }
      fail("a process is bound to the memory of node \(node)")
    } catch ProcessError.invalidConfiguration(let text) {
      require(text.contains("node \(node)"), "the error does not name the node: \(text)")
    } catch {
      fail("a process with the memory of node \(node): \(error)")
    }
  }

  private static func childMemory(on node: CPUTopology.NUMANode) async throws {
    for method in startMethods {
      let options = ProcessOptions(startMethod: method, memoryPolicy: .bind([node.id]))
      let pages = try await ChildProcess(byteCount, options: options, body: ownPages).value
      expect(pages, pages: pageCount, on: node.id, "\(method): a child's memory")
    }
  }

  private static func interleaved(_ nodes: [Int]) async throws {
    guard nodes.count > 1 else { return }
    let options = ProcessOptions(memoryPolicy: .interleave(nodes))
    let pages = try await ChildProcess(byteCount, options: options, body: ownPages).value
    let shares = nodes.map { pages.nodes[$0] ?? 0 }
    require(shares.reduce(0, +) == pageCount, "\(pages) are not all pages")
    // To a huge page.
    require((shares.max() ?? 0) - (shares.min() ?? 0) <= 1_024, "interleaved: \(pages)")
  }

  /// Where the pages of a new mapping lie.
  @Sendable
  private static func ownPages(_ byteCount: Int) -> Pages {
    let memory = unsafe mmap(
      nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let memory = unsafe memory, unsafe memory != MAP_FAILED else { return Pages() }
    unsafe memset(memory, 1, byteCount)
    let pageCount = byteCount / Int(getpagesize())
    return maps("").first { $0.nodes.values.reduce(0, +) == pageCount } ?? Pages()
  }

  /// The rings and arenas of workers that are bound to nodes.
  private static func rings(_ nodes: [CPUTopology.NUMANode], workers: Int) async throws {
    guard workers > 1 else { return }
    try await withProcessPool(
      workers: workers, placement: Placement(.perNUMANode, binding: .numaNode)
    ) { pool in
      let big = [UInt8](repeating: 3, count: 1 << 20)
      let sizes = try await pool.map(Array(repeating: big, count: 4 * workers)) {
        (bytes: [UInt8]) in
        bytes
      }
      require(sizes.allSatisfy { $0.count == 1 << 20 }, "the results are not right")
      var rings: [Int: Int] = [:]
      for worker in pool.workers {
        let cpus = worker.verifiedCPUs ?? []
        guard let node = nodes.first(where: { cpus.isSubset(of: $0.cpus) }),
          node.memoryByteCount > 0, isAllowed(node.id)
        else { continue }
        rings[node.id, default: 0] += 1
      }
      for name in ["/memfd:mproc-ring", "/memfd:mproc-arena"] {
        let maps = maps(name)
        require(maps.count == 2 * workers, "\(maps.count) mappings of \(name)")
        for (node, count) in rings {
          let there = maps.filter { $0.policy == "bind:\(node)" }
          require(there.count == 2 * count, "\(name): \(there.count) on node \(node)")
          require(
            there.allSatisfy { $0.nodes.keys.allSatisfy { $0 == node } },
            "\(name): pages of node \(node) are elsewhere: \(there)")
        }
      }
    }
  }

  private static func expect(_ found: Pages, pages: Int, on node: Int, _ what: String) {
    require(found.nodes == [node: pages], "\(what): \(found), not \(pages) pages on node \(node)")
  }

  /// Whether the cpuset lets memory come from the node.
  @Sendable
  private static func isAllowed(_ node: Int) -> Bool {
    for line in text(of: "/proc/self/status").split(separator: "\n") {
      guard line.hasPrefix("Mems_allowed_list:") else { continue }
      let list = line.drop { $0 != "\t" }.dropFirst()
      return (try? CPUSet(list))?.contains(node) == true
    }
    return true
  }
}

/// One mapping in /proc/self/numa_maps.
private struct Pages: Codable, Sendable {
  var policy = ""
  /// How many pages lie on which node.
  var nodes: [Int: Int] = [:]
}

/// The mappings whose lines contain the text.
private func maps(_ name: String) -> [Pages] {
  text(of: "/proc/self/numa_maps").split(separator: "\n").filter {
    name.isEmpty || $0.contains(name)
  }.map { line in
    let words = line.split(separator: " ")
    var pages = Pages(policy: words.count > 1 ? String(words[1]) : "")
    for word in words {
      let parts = word.split(separator: "=")
      guard word.hasPrefix("N"), parts.count == 2, let node = Int(parts[0].dropFirst()),
        let count = Int(parts[1])
      else { continue }
      pages.nodes[node] = count
    }
    return pages
  }
}
