// Where topologies come from: this machine, or a copy of another machine's /sys and /proc.

internal import Glibc
public import SystemPackage

extension CPUTopology {
  /// This machine, read afresh; a few milliseconds.
  ///
  /// Falls back to a machine of the allowed CPUs with one package, one NUMA node and one CPU a core
  /// where /sys is missing or cannot be understood. ``allowed`` is the mask of the process's first
  /// thread.
  public static var current: CPUTopology {
    let files = FileTree(root: "/")
    let allowed = try? KernelAffinity.mask(of: getpid())
    do {
      return try SysfsReader(files: files).topology(allowed: allowed)
    } catch {
      let fallback = allowed.flatMap { $0.isEmpty ? nil : $0 } ?? [0]
      return .flat(fallback, memoryByteCount: SysfsReader(files: files).totalMemory)
    }
  }

  /// The topology that a copy of a machine's /sys and /proc shows.
  ///
  /// ``allowed`` is what the recorded process's cpuset allows.
  ///
  /// - Parameter root: The folder that contains `sys` and `proc`.
  /// - Throws: ``TopologyError`` where `root` contains no CPUs or a malformed file.
  public init(root: FilePath) throws(TopologyError) {
    let files = FileTree(root: root)
    let cpuset = CgroupReader(files: files).cpuset
    self = try SysfsReader(files: files).topology(allowed: cpuset)
  }

  /// How many CPUs' worth of work this process can do at once: at least 1, at most the CPUs that
  /// affinity and cpuset allow, and at most the smallest cgroup quota on the path to the root,
  /// rounded up.
  ///
  /// Read afresh: one system call and a few small files.
  public static var usableCPUCount: Int {
    let allowed = (try? KernelAffinity.mask(of: getpid()))?.count ?? current.online.count
    return usableCPUCount(allowedCount: allowed, quota: cpuQuota(root: "/"))
  }

  static func usableCPUCount(allowedCount: Int, quota: CPUQuota?) -> Int {
    max(1, min(allowedCount, quota?.cpuCount ?? .max))
  }

  /// The tightest CPU quota on the path from this process's cgroup to the root, if there is one.
  package static func cpuQuota(root: FilePath) -> CPUQuota? {
    CgroupReader(files: FileTree(root: root)).quota
  }

  /// The files in which the kernel may count the processes of this process's cgroup that it killed for
  /// want of memory, in lines "oom_kill 3"; the first that has one counts.
  package static func memoryKillFiles(root: FilePath) -> [FilePath] {
    let files = FileTree(root: root)
    return CgroupReader(files: files).memoryKillFiles.map { files.path($0) }
  }

  /// The CPUs without a scheduling clock tick while they run one thread (nohz_full).
  package static func tickless(root: FilePath) -> CPUSet {
    let path = "sys/devices/system/cpu/nohz_full"
    return (try? FileTree(root: root).list(path)) ?? CPUSet()
  }

  /// A machine of which nothing is known but its CPUs.
  static func flat(_ cpus: CPUSet, memoryByteCount: Int) -> CPUTopology {
    let cores = cpus.enumerated().map { index, cpu in
      Core(id: index, package: 0, numaNode: 0, kind: .uniform, cpus: [cpu])
    }
    return CPUTopology(
      packages: [Package(id: 0, cpus: cpus)],
      dies: [Die(id: 0, package: 0, cpus: cpus)],
      numaNodes: [NUMANode(id: 0, cpus: cpus, memoryByteCount: memoryByteCount, distances: [:])],
      l3Domains: [], cores: cores,
      cpus: cpus.enumerated().map { index, cpu in
        CPU(id: cpu, core: index, kind: .uniform, isOnline: true, isIsolated: false)
      },
      allowed: cpus, online: cpus, isolated: [])
  }
}

/// A limit on CPU time: so much of each period.
package struct CPUQuota: Sendable, Hashable {
  /// CPU time in each period, in microseconds.
  package var quotaMicroseconds: Int
  /// The period, in microseconds.
  package var periodMicroseconds: Int

  /// The limit in CPUs.
  package var ratio: Double {
    Double(quotaMicroseconds) / Double(periodMicroseconds)
  }

  /// The limit in whole CPUs, rounded up, at least 1.
  package var cpuCount: Int {
    let (whole, rest) = quotaMicroseconds.quotientAndRemainder(dividingBy: periodMicroseconds)
    return max(1, whole + (rest > 0 ? 1 : 0))
  }
}
