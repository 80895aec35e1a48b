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
    let limits = Limits(
      cpus: try? KernelAffinity.mask(of: getpid()),
      nodes: files.field("Mems_allowed_list", of: "proc/self/status"),
      quota: CgroupReader(files: files).quota)
    do {
      return try SysfsReader(files: files).topology(within: limits)
    } catch {
      let fallback = limits.cpus.flatMap { $0.isEmpty ? nil : $0 } ?? [0]
      return .flat(
        fallback, memoryByteCount: SysfsReader(files: files).totalMemory, quota: limits.quota)
    }
  }

  /// The topology that a copy of a machine's /sys and /proc shows.
  ///
  /// ``allowed``, ``allowedNodes`` and ``quota`` are what the cgroups of the recorded process allow.
  ///
  /// - Parameter root: The folder that contains `sys` and `proc`.
  /// - Throws: ``TopologyError`` where `root` contains no CPUs or a malformed file.
  public init(root: FilePath) throws(TopologyError) {
    let files = FileTree(root: root)
    let groups = CgroupReader(files: files)
    self = try SysfsReader(files: files).topology(
      within: Limits(cpus: groups.cpuset, nodes: groups.memoryNodes, quota: groups.quota))
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

  /// What a process may use of its machine; nil where that is not known: all.
  struct Limits {
    var cpus: CPUSet?
    /// Numbers of nodes.
    var nodes: CPUSet?
    var quota: CPUQuota?
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

  /// A machine of which nothing is known but its CPUs.
  static func flat(_ cpus: CPUSet, memoryByteCount: Int, quota: CPUQuota?) -> CPUTopology {
    let cores = cpus.enumerated().map { index, cpu in
      Core(id: index, package: 0, numaNode: 0, kind: .uniform, cpus: [cpu])
    }
    return CPUTopology(
      packages: [Package(id: 0, cpus: cpus)],
      dies: [Die(id: 0, package: 0, cpus: cpus)],
      numaNodes: [
        NUMANode(
          id: 0, cpus: cpus, memoryByteCount: memoryByteCount, distances: [:], nearestCPUs: cpus)
      ],
      l3Domains: [], cores: cores,
      cpus: cpus.enumerated().map { index, cpu in
        CPU(id: cpu, core: index, kind: .uniform, isOnline: true, isIsolated: false)
      },
      allowed: cpus, online: cpus, isolated: [], quota: quota)
  }
}
