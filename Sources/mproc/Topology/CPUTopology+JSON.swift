// A machine as JSON. Sets are sorted lists of the kernel's CPU numbers.

internal import ProcessorTopology

extension CPUTopology {
  var json: JSON {
    .object([
      "possible": list(possible), "online": list(online), "allowed": list(allowed),
      "isolated": list(isolated), "nohz_full": list(tickless),
      "allowed_nodes": list(allowedNodes),
      "cpu_max": quota.map {
        .array([.integer($0.quotaMicroseconds), .integer($0.periodMicroseconds)])
      } ?? .null,
      "packages": .array(packages.map { list($0.cpus) }),
      // A die that is a whole package is not worth a word.
      "dies": .array(
        dies.filter { die in !packages.contains { $0.cpus == die.cpus } }.map { list($0.cpus) }),
      "numa_nodes": .array(numaNodes.map(node)),
      "distances": distances,
      "l3": .array(l3Domains.map { list($0.cpus) }),
      "l2": .array(l2Domains.map { list($0.cpus) }),
      "l3_bytes": list(l3Domains.map(\.byteCount)),
      "l2_bytes": list(l2Domains.map(\.byteCount)),
      "cores": .array(cores.map { list($0.cpus) }),
      "core_kinds": .array(kinds),
    ])
  }

  private func list(_ numbers: some Sequence<Int>) -> JSON {
    .array(numbers.map(JSON.integer))
  }

  private func node(_ node: NUMANode) -> JSON {
    .object([
      "node": .integer(node.id), "cpus": list(node.cpus),
      "memory_bytes": .integer(node.memoryByteCount), "local_cpus": list(node.nearestCPUs),
    ])
  }

  private var distances: JSON {
    guard numaNodes.allSatisfy({ $0.distances.count == numaNodes.count }) else { return .null }
    return .object([
      "nodes": list(numaNodes.map(\.id)),
      "matrix": .array(
        numaNodes.map { from in list(numaNodes.map { from.distances[$0.id] ?? 0 }) }),
    ])
  }

  /// Kinds from the slowest on, numbered so.
  private var kinds: [JSON] {
    let order: [CoreKind] = [.efficiency, .performance, .uniform]
    let present = order.filter { kind in cores.contains { $0.kind == kind } }
    return present.enumerated().map { rank, kind in
      let cpus = cores.reduce(CPUSet()) { $1.kind == kind ? $0.union($1.cpus) : $0 }
      return .object([
        "kind": .string(kind.rawValue), "efficiency": .integer(rank), "cpus": list(cpus),
      ])
    }
  }
}
