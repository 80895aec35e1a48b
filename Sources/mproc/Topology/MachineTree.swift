// A machine as boxes in boxes, for drawing: packages, dies, NUMA nodes and shared caches, each in the
// smallest one that holds all its CPUs. Boxes of the same CPUs are one box with all their labels. A
// group that cuts through others (SNC tables of broken firmware do) is left out of the drawing.

internal import ProcessorTopology

struct MachineTree {
  var labels: [String]
  var cpus: CPUSet
  var children: [MachineTree] = []
  /// The cores that are in none of the children.
  var cores: [CPUTopology.Core] = []

  private init(labels: [String], cpus: CPUSet) {
    self.labels = labels
    self.cpus = cpus
  }

  /// The whole machine; its own labels are empty.
  init(_ topology: CPUTopology) {
    self.init(labels: [], cpus: topology.online)
    let groups = Self.groups(of: topology)
    // The widest first, so that a group always finds the box that it belongs in.
    for group in groups.enumerated().sorted(by: {
      ($1.element.cpus.count, $0.offset) < ($0.element.cpus.count, $1.offset)
    }) {
      insert(MachineTree(labels: [group.element.label], cpus: group.element.cpus))
    }
    for core in topology.cores { insert(core) }
    if children.count == 1, children[0].cpus == cpus, cores.isEmpty { self = children[0] }
  }

  private static func groups(of topology: CPUTopology) -> [(label: String, cpus: CPUSet)] {
    func cache(_ domain: CPUTopology.CacheDomain) -> (label: String, cpus: CPUSet) {
      let size = domain.byteCount > 0 ? " \(byteText(domain.byteCount))" : ""
      return ("L\(domain.level)\(size)", domain.cpus)
    }
    let shared = topology.l2Domains.filter { domain in
      !topology.cores.contains { domain.cpus.isSubset(of: $0.cpus) }
    }
    let dies = topology.dies.filter { die in !topology.packages.contains { $0.cpus == die.cpus } }
    return topology.packages.map { ("package \($0.id)", $0.cpus) }
      + dies.map { ("die \($0.id)", $0.cpus) }
      + topology.numaNodes.filter { !$0.cpus.isEmpty }.map { ($0.label, $0.cpus) }
      + topology.l3Domains.map(cache) + shared.map(cache)
  }

  private mutating func insert(_ box: MachineTree) {
    if let index = children.firstIndex(where: { box.cpus.isSubset(of: $0.cpus) }) {
      if children[index].cpus == box.cpus {
        children[index].labels += box.labels
      } else {
        children[index].insert(box)
      }
    } else if children.allSatisfy({ $0.cpus.isDisjoint(with: box.cpus) }) {
      children.append(box)
      children.sort { ($0.cpus.first { _ in true } ?? 0) < ($1.cpus.first { _ in true } ?? 0) }
    }
  }

  private mutating func insert(_ core: CPUTopology.Core) {
    if let index = children.firstIndex(where: { core.cpus.isSubset(of: $0.cpus) }) {
      children[index].insert(core)
    } else {
      cores.append(core)
    }
  }

  /// The cores of each kind, fast ones first.
  var coresByKind: [(kind: CoreKind, cores: [CPUTopology.Core])] {
    CoreKind.allCases.compactMap { kind in
      let cores = cores.filter { $0.kind == kind }
      return cores.isEmpty ? nil : (kind, cores)
    }
  }
}

extension CPUTopology.NUMANode {
  var label: String {
    "node \(id) " + (memoryByteCount > 0 ? byteText(memoryByteCount) : "no memory")
  }
}

/// What a process can do with a CPU.
enum CPUState: CaseIterable {
  case allowed, isolated, forbidden

  init(_ cpu: Int, in topology: CPUTopology) {
    self =
      !topology.allowed.contains(cpu)
      ? .forbidden : topology.isolated.contains(cpu) ? .isolated : .allowed
  }

  var name: String {
    switch self {
    case .allowed: "allowed"
    case .isolated: "allowed, isolated"
    case .forbidden: "not allowed"
    }
  }
}

/// A size in the largest unit that leaves at least 1, with one digit after the point.
func byteText(_ count: Int) -> String {
  let units = ["B", "KiB", "MiB", "GiB", "TiB"]
  var unit = 0
  while unit < units.count - 1, count >> (10 * (unit + 1)) > 0 { unit += 1 }
  let size = 1 << (10 * unit)
  let tenths = count / size * 10 + (count % size) * 10 / size
  return tenths % 10 == 0
    ? "\(tenths / 10) \(units[unit])" : "\(tenths / 10).\(tenths % 10) \(units[unit])"
}
