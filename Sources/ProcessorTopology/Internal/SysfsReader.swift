// Reads a topology from /sys/devices/system. Groups are taken from masks, never from the numbers
// in physical_package_id or core_id, which are -1 or repeat on some machines; every group is cut
// down to online CPUs, since masks and lists name offline ones too; each CPU ends in exactly one
// group of a level. Sources: Documentation/admin-guide/cputopology.rst and
// Documentation/ABI/{stable,testing}/sysfs-devices-{node,system-cpu} of the kernel.

internal import SystemPackage

struct SysfsReader {
  let files: FileTree
  let cpuFolder = "sys/devices/system/cpu"
  let nodeFolder = "sys/devices/system/node"

  init(files: FileTree) {
    self.files = files
  }

  /// - Parameter limits: What the process may use; nil in it: all that is online.
  func topology(within limits: CPUTopology.Limits) throws(TopologyError) -> CPUTopology {
    let (present, online) = try readCPUs()
    let isolated = try files.list("\(cpuFolder)/isolated") ?? CPUSet()
    let packages = try readPackages(online)
    let nodes = try readNodes(online)
    let caches = try readCaches(online)
    let cores = try readCores(online, packages: packages, nodes: nodes, caches: caches.l3)
    return CPUTopology(
      packages: packages, dies: try readDies(online, packages: packages, cores: cores),
      numaNodes: nodes, l3Domains: caches.l3, l2Domains: caches.l2, cores: cores,
      cpus: describe(present, online: online, isolated: isolated, cores: cores),
      allowed: limits.cpus.map { $0.intersection(online) } ?? online, online: online,
      isolated: isolated, tickless: try files.list("\(cpuFolder)/nohz_full") ?? CPUSet(),
      possible: (try files.list("\(cpuFolder)/possible") ?? present).union(present),
      allowedNodes: try nodesWithMemory(nodes, within: limits.nodes), quota: limits.quota)
  }

  /// MemTotal of /proc/meminfo in bytes; 0 where it is not known.
  var totalMemory: Int {
    memory(in: files.text("proc/meminfo")) ?? 0
  }
}

// MARK: - CPUs and cores

extension SysfsReader {
  private func readCPUs() throws(TopologyError) -> (present: CPUSet, online: CPUSet) {
    let folders = CPUSet(files.numbers(in: cpuFolder, after: "cpu"))
    let online: CPUSet
    if let list = try files.list("\(cpuFolder)/online"), !list.isEmpty {
      online = list
    } else {
      // A CPU that cannot be switched off has no such file.
      online = CPUSet(folders.filter { files.integer("\(cpuFolder)/cpu\($0)/online") != 0 })
    }
    guard !online.isEmpty else {
      throw .unreadable(files.path(cpuFolder), .noSuchFileOrDirectory)
    }
    return ((try files.list("\(cpuFolder)/present") ?? folders).union(online), online)
  }

  private func readCores(
    _ online: CPUSet, packages: [CPUTopology.Package], nodes: [CPUTopology.NUMANode],
    caches: [CPUTopology.CacheDomain]
  ) throws(TopologyError) -> [CPUTopology.Core] {
    let names = ["core_cpus", "thread_siblings", "core_cpus_list", "thread_siblings_list"]
    let packageOf = index(packages.map { ($0.id, $0.cpus) })
    let nodeOf = index(nodes.map { ($0.id, $0.cpus) })
    let cacheOf = index(caches.enumerated().map { ($0.offset, $0.element.cpus) })
    let places = try groups(of: online, inTopologyFiles: names, without: { [$0] }).map { cpus in
      let first = cpus.lowest ?? 0
      return (
        cpus: cpus,
        order: [packageOf[first] ?? 0, nodeOf[first] ?? 0, cacheOf[first] ?? caches.count, first]
      )
    }.sorted { $0.order.lexicographicallyPrecedes($1.order) }
    let kinds = CoreKindReader(files: files).kinds(of: places.map(\.cpus))
    return places.enumerated().map { id, place in
      CPUTopology.Core(
        id: id, package: place.order[0], numaNode: place.order[1], kind: kinds[id],
        cpus: place.cpus)
    }
  }

  private func describe(
    _ present: CPUSet, online: CPUSet, isolated: CPUSet, cores: [CPUTopology.Core]
  ) -> [CPUTopology.CPU] {
    let coreOf = index(cores.map { ($0.id, $0.cpus) })
    return present.map { cpu in
      CPUTopology.CPU(
        id: cpu, core: coreOf[cpu] ?? -1, kind: coreOf[cpu].map { cores[$0].kind } ?? .uniform,
        isOnline: online.contains(cpu), isIsolated: isolated.contains(cpu))
    }
  }

  /// The number of the group that each CPU is in; the first group that has it counts.
  private func index(_ groups: [(id: Int, cpus: CPUSet)]) -> [Int: Int] {
    var result: [Int: Int] = [:]
    for group in groups.reversed() {
      for cpu in group.cpus { result[cpu] = group.id }
    }
    return result
  }
}

// MARK: - Groups

extension SysfsReader {
  private func readPackages(_ online: CPUSet) throws(TopologyError) -> [CPUTopology.Package] {
    let names = ["package_cpus", "core_siblings", "package_cpus_list", "core_siblings_list"]
    return try groups(of: online, inTopologyFiles: names, without: { _ in online })
      .enumerated().map { CPUTopology.Package(id: $0.offset, cpus: $0.element) }
  }

  private func readDies(
    _ online: CPUSet, packages: [CPUTopology.Package], cores: [CPUTopology.Core]
  ) throws(TopologyError) -> [CPUTopology.Die] {
    let packageOf = index(packages.map { ($0.id, $0.cpus) })
    let coreOf = index(cores.map { ($0.id, $0.cpus) })
    let dies = try groups(of: online, inTopologyFiles: ["die_cpus", "die_cpus_list"]) { cpu in
      packages[packageOf[cpu] ?? 0].cpus
    }
    // A kernel that knows of no dies (a die_id of -1) gives each CPU one of its own.
    let areKnown = dies.contains { die in
      die.contains { coreOf[$0] != coreOf[die.lowest ?? 0] }
    }
    return (areKnown ? dies : packages.map(\.cpus)).enumerated().map { id, cpus in
      CPUTopology.Die(id: id, package: packageOf[cpus.lowest ?? 0] ?? 0, cpus: cpus)
    }
  }

  /// The groups that the first readable of `names` in cpuN/topology gives; `standIn` is the group
  /// of a CPU that has none of these files.
  private func groups(
    of online: CPUSet, inTopologyFiles names: [String], without standIn: (Int) -> CPUSet
  ) throws(TopologyError) -> [CPUSet] {
    var result: [CPUSet] = []
    var remaining = online
    for cpu in online where remaining.contains(cpu) {
      let paths = names.map { "\(cpuFolder)/cpu\(cpu)/topology/\($0)" }
      var group = (try files.cpus(paths) ?? standIn(cpu)).intersection(remaining)
      group.insert(cpu)
      remaining.subtract(group)
      result.append(group)
    }
    return result
  }
}
