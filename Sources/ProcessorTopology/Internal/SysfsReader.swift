// Reads a topology from /sys/devices/system. Groups are taken from masks, never from the numbers
// in physical_package_id or core_id, which are -1 or repeat on some machines; every group is cut
// down to online CPUs, since masks and lists name offline ones too; each CPU ends in exactly one
// group of a level. Sources: Documentation/admin-guide/cputopology.rst and
// Documentation/ABI/{stable,testing}/sysfs-devices-{node,system-cpu} of the kernel.

internal import SystemPackage

struct SysfsReader {
  let files: FileTree
  private let cpuFolder = "sys/devices/system/cpu"
  private let nodeFolder = "sys/devices/system/node"

  init(files: FileTree) {
    self.files = files
  }

  /// - Parameter allowed: What the process may use; nil: all that is online.
  func topology(allowed: CPUSet?) throws(TopologyError) -> CPUTopology {
    let (present, online) = try readCPUs()
    let isolated = try files.list("\(cpuFolder)/isolated") ?? CPUSet()
    let packages = try readPackages(online)
    let nodes = try readNodes(online)
    let l3Domains = try readCaches(level: 3, online)
    let cores = try readCores(online, packages: packages, nodes: nodes, caches: l3Domains)
    return CPUTopology(
      packages: packages, dies: try readDies(online, packages: packages), numaNodes: nodes,
      l3Domains: l3Domains, cores: cores,
      cpus: describe(present, online: online, isolated: isolated, cores: cores),
      allowed: allowed.map { $0.intersection(online) } ?? online, online: online,
      isolated: isolated)
  }

  /// MemTotal of /proc/meminfo in bytes; 0 where it is not known.
  var totalMemory: Int {
    memory(in: files.text("proc/meminfo"))
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
    _ online: CPUSet, packages: [CPUTopology.Package]
  ) throws(TopologyError) -> [CPUTopology.Die] {
    let packageOf = index(packages.map { ($0.id, $0.cpus) })
    let dies = try groups(of: online, inTopologyFiles: ["die_cpus", "die_cpus_list"]) { cpu in
      packages[packageOf[cpu] ?? 0].cpus
    }
    return dies.enumerated().map { id, cpus in
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

  private func readCaches(
    level: Int, _ online: CPUSet
  ) throws(TopologyError) -> [CPUTopology.CacheDomain] {
    var result: [CPUTopology.CacheDomain] = []
    var remaining = online
    for cpu in online where remaining.contains(cpu) {
      guard let folder = cacheFolder(of: cpu, level: level) else { continue }
      var group = try files.cpus(["shared_cpu_map", "shared_cpu_list"].map { "\(folder)/\($0)" })
      // An empty mask: the cache belongs to the CPU's own core.
      if group?.isEmpty ?? true {
        let topology = "\(cpuFolder)/cpu\(cpu)/topology"
        group = try files.cpus(["\(topology)/core_cpus", "\(topology)/thread_siblings"])
      }
      var cpus = (group ?? CPUSet()).intersection(remaining)
      cpus.insert(cpu)
      remaining.subtract(cpus)
      let size = byteCount(files.text("\(folder)/size") ?? "")
      result.append(CPUTopology.CacheDomain(level: level, byteCount: size, cpus: cpus))
    }
    return result
  }

  private func cacheFolder(of cpu: Int, level: Int) -> String? {
    var number = 0
    while true {
      let folder = "\(cpuFolder)/cpu\(cpu)/cache/index\(number)"
      guard let found = files.integer("\(folder)/level") else { return nil }
      if found == level, files.text("\(folder)/type") != "Instruction" { return folder }
      number += 1
    }
  }

  /// "32768K" in bytes.
  private func byteCount(_ text: String) -> Int {
    let units = ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30]
    let digits = text.prefix { $0.isNumber }
    guard let number = Int(digits), number < 1 << 32 else { return 0 }
    return number * (units[String(text.dropFirst(digits.count))] ?? 1)
  }
}

// MARK: - NUMA nodes

extension SysfsReader {
  private func readNodes(_ online: CPUSet) throws(TopologyError) -> [CPUTopology.NUMANode] {
    let numbers = files.numbers(in: nodeFolder, after: "node")
    guard !numbers.isEmpty else {
      return [
        CPUTopology.NUMANode(id: 0, cpus: online, memoryByteCount: totalMemory, distances: [:])
      ]
    }
    var nodes: [CPUTopology.NUMANode] = []
    for number in numbers {
      let folder = "\(nodeFolder)/node\(number)"
      let cpus = try files.cpus(["\(folder)/cpumap", "\(folder)/cpulist"]) ?? CPUSet()
      nodes.append(
        CPUTopology.NUMANode(
          id: number, cpus: cpus.intersection(online),
          memoryByteCount: memory(in: files.text("\(folder)/meminfo")),
          distances: distances(in: files.text("\(folder)/distance"), of: numbers)))
    }
    return nodes
  }

  /// A row of the distance table names no nodes: its columns are the online nodes, ascending.
  private func distances(in row: String?, of nodes: [Int]) -> [Int: Int] {
    let columns = (row ?? "").split(separator: " ").compactMap { Int($0) }
    guard columns.count == nodes.count else { return [:] }
    return Dictionary(uniqueKeysWithValues: zip(nodes, columns))
  }

  /// "MemTotal: 94789 kB" or "Node 0 MemTotal: 94789 kB" in bytes.
  private func memory(in meminfo: String?) -> Int {
    for line in (meminfo ?? "").split(separator: "\n") {
      let fields = line.split { $0 == " " || $0 == "\t" }
      guard let label = fields.firstIndex(of: "MemTotal:"), label + 1 < fields.count,
        let kilobytes = Int(fields[label + 1]), kilobytes < 1 << 50
      else { continue }
      return kilobytes << 10
    }
    return 0
  }
}
