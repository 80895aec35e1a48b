// Caches of levels 2 and 3: cpuN/cache/indexM with its level, type, size and sharers. Each cache is
// read once, at the first of its CPUs.

extension SysfsReader {
  func readCaches(
    _ online: CPUSet
  ) throws(TopologyError) -> (l2: [CPUTopology.CacheDomain], l3: [CPUTopology.CacheDomain]) {
    var found: [Int: [CPUTopology.CacheDomain]] = [:]
    var unknown: [Int: CPUSet] = [2: online, 3: online]
    for cpu in online {
      for (level, folder) in cacheFolders(of: cpu, levels: unknown.filter { $1.contains(cpu) }) {
        var cpus = try sharers(of: folder, cpu: cpu).intersection(unknown[level] ?? CPUSet())
        cpus.insert(cpu)
        unknown[level]?.subtract(cpus)
        let size = byteCount(files.text("\(folder)/size") ?? "")
        found[level, default: []].append(
          CPUTopology.CacheDomain(level: level, byteCount: size, cpus: cpus))
      }
    }
    return (found[2] ?? [], found[3] ?? [])
  }

  /// The folders of the CPU's caches for data at these levels, the first of each level.
  private func cacheFolders(
    of cpu: Int, levels: [Int: CPUSet]
  ) -> [(level: Int, folder: String)] {
    var wanted = Set(levels.keys)
    var result: [(level: Int, folder: String)] = []
    var number = 0
    while !wanted.isEmpty {
      let folder = "\(cpuFolder)/cpu\(cpu)/cache/index\(number)"
      guard let level = files.integer("\(folder)/level") else { break }
      if wanted.contains(level), files.text("\(folder)/type") != "Instruction" {
        result.append((level, folder))
        wanted.remove(level)
      }
      number += 1
    }
    return result
  }

  private func sharers(of folder: String, cpu: Int) throws(TopologyError) -> CPUSet {
    let names = ["shared_cpu_map", "shared_cpu_list"]
    let sharers = try files.cpus(names.map { "\(folder)/\($0)" })
    if let sharers, !sharers.isEmpty { return sharers }
    // An empty mask: the cache belongs to the CPU's own core.
    let topology = "\(cpuFolder)/cpu\(cpu)/topology"
    return try files.cpus(["\(topology)/core_cpus", "\(topology)/thread_siblings"]) ?? CPUSet()
  }

  /// "32768K" in bytes.
  private func byteCount(_ text: String) -> Int {
    let units = ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30]
    let digits = text.prefix { $0.isNumber }
    guard let number = Int(digits), number < 1 << 32 else { return 0 }
    return number * (units[String(text.dropFirst(digits.count))] ?? 1)
  }
}
