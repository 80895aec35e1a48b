// NUMA nodes: node/nodeN with CPUs, memory and distances. Node numbers have holes; a node may have
// no memory, no CPUs, or neither.

extension SysfsReader {
  func readNodes(_ online: CPUSet) throws(TopologyError) -> [CPUTopology.NUMANode] {
    let numbers = files.numbers(in: nodeFolder, after: "node")
    guard !numbers.isEmpty else {
      return [
        CPUTopology.NUMANode(
          id: 0, cpus: online, memoryByteCount: totalMemory, distances: [:], nearestCPUs: online)
      ]
    }
    var nodes: [CPUTopology.NUMANode] = []
    for number in numbers {
      let folder = "\(nodeFolder)/node\(number)"
      let list = try files.cpus(["\(folder)/cpumap", "\(folder)/cpulist"]) ?? CPUSet()
      let cpus = list.intersection(online)
      nodes.append(
        CPUTopology.NUMANode(
          id: number, cpus: cpus, memoryByteCount: memory(in: files.text("\(folder)/meminfo")) ?? 0,
          distances: distances(in: files.text("\(folder)/distance"), of: numbers),
          nearestCPUs: cpus))
    }
    for index in nodes.indices where nodes[index].cpus.isEmpty {
      nodes[index].nearestCPUs = nearestCPUs(to: nodes[index], of: nodes, online: online)
    }
    return nodes
  }

  /// The nodes that have memory and are among `allowed` (nil: all).
  func nodesWithMemory(
    _ nodes: [CPUTopology.NUMANode], within allowed: CPUSet?
  ) throws(TopologyError) -> [Int] {
    let listed = try files.list("\(nodeFolder)/has_memory")
    return nodes.filter { node in
      // Without the kernel's list, a node that says nothing of its memory counts as having some.
      let hasMemory =
        listed.map { $0.contains(node.id) }
        ?? (memory(in: files.text("\(nodeFolder)/node\(node.id)/meminfo")) != 0)
      return hasMemory && allowed?.contains(node.id) ?? true
    }.map(\.id)
  }

  /// The CPUs of the nodes that the firmware names as a node's initiators (access1 has those with
  /// CPUs only, access0 others too), else of the nodes at the smallest distance.
  private func nearestCPUs(
    to node: CPUTopology.NUMANode, of nodes: [CPUTopology.NUMANode], online: CPUSet
  ) -> CPUSet {
    func cpus(of numbers: [Int]) -> CPUSet {
      nodes.reduce(CPUSet()) { numbers.contains($1.id) ? $0.union($1.cpus) : $0 }
    }
    for access in ["access1", "access0"] {
      let folder = "\(nodeFolder)/node\(node.id)/\(access)/initiators"
      let named = cpus(of: files.numbers(in: folder, after: "node"))
      if !named.isEmpty { return named }
    }
    let others = nodes.filter { !$0.cpus.isEmpty && node.distances[$0.id] != nil }
    let smallest = others.compactMap { node.distances[$0.id] }.min()
    let nearest = cpus(of: others.filter { node.distances[$0.id] == smallest }.map(\.id))
    return nearest.isEmpty ? online : nearest
  }

  /// A row of the distance table names no nodes: its columns are the online nodes, ascending.
  private func distances(in row: String?, of nodes: [Int]) -> [Int: Int] {
    let columns = (row ?? "").split(separator: " ").compactMap { Int($0) }
    guard columns.count == nodes.count else { return [:] }
    return Dictionary(uniqueKeysWithValues: zip(nodes, columns))
  }

  /// "MemTotal: 94789 kB" or "Node 0 MemTotal: 94789 kB" in bytes; nil where there is no such line.
  func memory(in meminfo: String?) -> Int? {
    for line in (meminfo ?? "").split(separator: "\n") {
      let fields = line.split { $0 == " " || $0 == "\t" }
      guard let label = fields.firstIndex(of: "MemTotal:"), label + 1 < fields.count,
        let kilobytes = Int(fields[label + 1]), kilobytes < 1 << 50
      else { continue }
      return kilobytes << 10
    }
    return nil
  }
}
