// Tells fast cores from economical ones. The sources, best first: the kernel's own lists on Intel
// hybrids (cpu_core, cpu_atom, cpu_lowpower), then numbers: cpu_capacity (arm64, riscv, newer x86
// hybrids), acpi_cppc/highest_perf, cpufreq/base_frequency, cpufreq/cpuinfo_max_freq. Numbers of
// cores of one kind differ a little (favoured cores, Turbo Boost Max), so numbers that lie within
// ten percent of a neighbour's are one kind, and only a wider gap makes two.

struct CoreKindReader {
  let files: FileTree

  /// The kind of each core, all `.uniform` where they are alike or nothing is known.
  func kinds(of cores: [CPUSet]) -> [CoreKind] {
    if let kinds = listedKinds(of: cores) { return kinds }
    let sources = [
      "cpu_capacity", "acpi_cppc/highest_perf", "cpufreq/base_frequency",
      "cpufreq/cpuinfo_max_freq",
    ]
    for source in sources {
      let speeds = cores.map { core in
        core.lowest.flatMap { files.integer("sys/devices/system/cpu/cpu\($0)/\(source)") } ?? 0
      }
      if speeds.allSatisfy({ $0 > 0 }) { return kinds(bySpeed: speeds) }
    }
    return cores.map { _ in .uniform }
  }

  private func listedKinds(of cores: [CPUSet]) -> [CoreKind]? {
    let fast = (try? files.list("sys/devices/cpu_core/cpus")) ?? CPUSet()
    let slow = ["cpu_atom", "cpu_lowpower"].reduce(CPUSet()) { result, name in
      result.union((try? files.list("sys/devices/\(name)/cpus")) ?? CPUSet())
    }
    let kinds = cores.map { core -> CoreKind in
      if !core.isDisjoint(with: slow) { return .efficiency }
      return core.isDisjoint(with: fast) ? .uniform : .performance
    }
    return Set(kinds) == [.performance, .efficiency] ? kinds : nil
  }

  /// Splits at the widest gap between neighbouring speeds, if one is wider than ten percent.
  private func kinds(bySpeed speeds: [Int]) -> [CoreKind] {
    let sorted = Set(speeds).sorted()
    let gaps = zip(sorted, sorted.dropFirst()).map { (ratio: Double($1) / Double($0), above: $1) }
    guard let widest = gaps.max(by: { $0.ratio < $1.ratio }), widest.ratio > 1.1 else {
      return speeds.map { _ in .uniform }
    }
    return speeds.map { $0 >= widest.above ? .performance : .efficiency }
  }
}
