// A machine as a tree for people: packages, in them NUMA nodes, in them caches, in them cores as
// "[0,4]", the numbers of their CPUs.

internal import ProcessorTopology

extension Machine {
  var text: String {
    var lines = [summary]
    for package in topology.packages {
      lines.append("package \(package.id): CPUs \(package.cpus)")
      for node in topology.numaNodes where !node.cpus.isDisjoint(with: package.cpus) {
        lines.append("  node \(node.id): \(bytes(node.memoryByteCount))")
        lines += caches(in: node.cpus.intersection(package.cpus))
      }
    }
    lines += topology.numaNodes.filter { $0.cpus.isEmpty }.map {
      "node \($0.id): no CPUs, \(bytes($0.memoryByteCount))"
    }
    return (lines + limits + distances).joined(separator: "\n")
  }

  private var summary: String {
    let parts = [
      (topology.packages.count, "package"), (topology.numaNodes.count, "NUMA node"),
      (topology.cores.count, "core"), (topology.online.count, "CPU"),
    ]
    return parts.map { "\($0) \($1)\($0 == 1 ? "" : "s")" }.joined(separator: ", ")
  }

  private func caches(in cpus: CPUSet) -> [String] {
    var lines: [String] = []
    var rest = cpus
    for cache in topology.l3Domains where !cache.cpus.isDisjoint(with: cpus) {
      let shared = cache.cpus.intersection(cpus)
      lines.append("    L\(cache.level) \(bytes(cache.byteCount)): CPUs \(cache.cpus)")
      lines += cores(in: shared)
      rest.subtract(shared)
    }
    return lines + cores(in: rest)
  }

  private func cores(in cpus: CPUSet) -> [String] {
    CoreKind.allCases.flatMap { kind -> [String] in
      let cores = topology.cores.filter { $0.kind == kind && !$0.cpus.isDisjoint(with: cpus) }
      let label = kind == .uniform ? "cores" : "\(kind.rawValue) cores"
      return stride(from: 0, to: cores.count, by: 8).map { start in
        let row = cores[start..<min(start + 8, cores.count)].map { "[\($0.cpus)]" }
        return "      \(label) " + row.joined(separator: " ")
      }
    }
  }

  private var limits: [String] {
    let offline = CPUSet(topology.cpus.filter { !$0.isOnline }.map(\.id))
    var lines: [String] = []
    if !offline.isEmpty { lines.append("offline: \(offline)") }
    if !topology.isolated.isEmpty { lines.append("isolated: \(topology.isolated)") }
    if !tickless.isEmpty { lines.append("tickless: \(tickless)") }
    if topology.allowed != topology.online {
      lines.append("allowed: \(topology.allowed.isEmpty ? "none" : "\(topology.allowed)")")
    }
    if let quota {
      lines.append(
        "quota: \(quota.quotaMicroseconds) of \(quota.periodMicroseconds) microseconds, "
          + "rounded up \(quota.cpuCount)")
    }
    return lines
  }

  private var distances: [String] {
    let nodes = topology.numaNodes
    guard nodes.count > 1, nodes.contains(where: { !$0.distances.isEmpty }) else { return [] }
    return ["distances between nodes \(nodes.map { "\($0.id)" }.joined(separator: " ")):"]
      + nodes.map { from in
        "  \(from.id): "
          + nodes.map { from.distances[$0.id].map(String.init) ?? "?" }.joined(separator: " ")
      }
  }

  /// A size in the largest unit that leaves at least 1, with one digit after the point.
  private func bytes(_ count: Int) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"]
    var unit = 0
    while unit < units.count - 1, count >> (10 * (unit + 1)) > 0 { unit += 1 }
    let tenths = count / (1 << (10 * unit)) * 10 + (count % (1 << (10 * unit))) * 10 >> (10 * unit)
    return tenths % 10 == 0 || unit == 0
      ? "\(tenths / 10) \(units[unit])" : "\(tenths / 10).\(tenths % 10) \(units[unit])"
  }
}
