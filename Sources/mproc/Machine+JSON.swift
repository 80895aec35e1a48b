// A machine as JSON. Sets are sorted lists of the kernel's CPU numbers.

internal import ProcessorTopology

extension Machine {
  var json: JSON {
    .object([
      "online": list(topology.online),
      "allowed": list(topology.allowed),
      "isolated": list(topology.isolated),
      "nohz_full": list(tickless),
      "cpu_max": quota.map {
        .array([.integer($0.quotaMicroseconds), .integer($0.periodMicroseconds)])
      } ?? .null,
      "packages": .array(topology.packages.map { list($0.cpus) }),
      "dies": .array(topology.dies.map { list($0.cpus) }),
      "numa_nodes": .array(topology.numaNodes.map(node)),
      "distances": distances,
      "l3": .array(topology.l3Domains.map { list($0.cpus) }),
      "cores": .array(topology.cores.map { list($0.cpus) }),
      "core_kinds": .array(kinds),
    ])
  }

  private func list(_ cpus: some Sequence<Int>) -> JSON {
    .array(cpus.map(JSON.integer))
  }

  private func node(_ node: CPUTopology.NUMANode) -> JSON {
    .object([
      "node": .integer(node.id), "cpus": list(node.cpus),
      "memory_bytes": .integer(node.memoryByteCount),
    ])
  }

  private var distances: JSON {
    let nodes = topology.numaNodes
    guard nodes.allSatisfy({ $0.distances.count == nodes.count }) else { return .null }
    return .object([
      "nodes": list(nodes.map(\.id)),
      "matrix": .array(
        nodes.map { from in list(nodes.map { from.distances[$0.id] ?? 0 }) }),
    ])
  }

  private var kinds: [JSON] {
    CoreKind.allCases.compactMap { kind in
      let cores = topology.cores.filter { $0.kind == kind }
      guard !cores.isEmpty else { return nil }
      let cpus = cores.reduce(CPUSet()) { $0.union($1.cpus) }
      return .object(["kind": .string(kind.rawValue), "cpus": list(cpus)])
    }
  }
}
