// What a machine's processors are and how they are connected, as a value. Reading it from the
// kernel's files is the business of Internal/; everything that decides where to run takes this
// value, so that it can be tested with machines that nobody owns.

public import SystemPackage

/// The processors of a machine: packages, dies, NUMA nodes, caches, cores and CPUs.
///
/// A CPU here is what the kernel schedules on, a hardware thread; CPU numbers are the kernel's. The
/// sets of groups hold online CPUs only.
public struct CPUTopology: Sendable, Hashable, Codable {
  /// Processor packages (sockets), in the order of their lowest CPU.
  public var packages: [Package]
  /// Dies, in the order of their lowest CPU; one a package where the kernel knows of none.
  public var dies: [Die]
  /// NUMA nodes by ascending number; one, numbered 0, where the kernel knows of none.
  public var numaNodes: [NUMANode]
  /// Groups of CPUs that share a level 3 cache, in the order of their lowest CPU; may be empty.
  public var l3Domains: [CacheDomain]
  /// Groups of CPUs that share a level 2 cache, in the order of their lowest CPU; may be empty.
  public var l2Domains: [CacheDomain]
  /// Physical cores, in the order of package, NUMA node, level 3 cache and lowest CPU.
  public var cores: [Core]
  /// All CPUs that are present, by ascending number.
  public var cpus: [CPU]
  /// The online CPUs that this process may use, by its affinity and its cpuset.
  public var allowed: CPUSet
  /// The CPUs that are switched on.
  public var online: CPUSet
  /// The CPUs that the kernel keeps free of ordinary work (isolcpus).
  public var isolated: CPUSet
  /// The CPUs whose clock tick stops while they run one thread (nohz_full).
  public var tickless: CPUSet
  /// The CPUs that the kernel has made room for, in sockets that are still empty too.
  public var possible: CPUSet
  /// The nodes that this process's memory may come from, ascending: those that have memory and that
  /// its cpuset allows.
  public var allowedNodes: [Int]
  /// The tightest limit on CPU time on the path from this process's cgroup to the root; nil: none.
  public var quota: CPUQuota?

  package init(
    packages: [Package], dies: [Die], numaNodes: [NUMANode], l3Domains: [CacheDomain],
    l2Domains: [CacheDomain] = [], cores: [Core], cpus: [CPU], allowed: CPUSet, online: CPUSet,
    isolated: CPUSet, tickless: CPUSet = [], possible: CPUSet? = nil, allowedNodes: [Int]? = nil,
    quota: CPUQuota? = nil
  ) {
    self.packages = packages
    self.dies = dies
    self.numaNodes = numaNodes
    self.l3Domains = l3Domains
    self.l2Domains = l2Domains
    self.cores = cores
    self.cpus = cpus
    self.allowed = allowed
    self.online = online
    self.isolated = isolated
    self.tickless = tickless
    self.possible = possible ?? CPUSet(cpus.map(\.id))
    self.allowedNodes = allowedNodes ?? numaNodes.map(\.id)
    self.quota = quota
  }

  /// The CPU with this number, or nil where it is not present.
  public subscript(cpu id: Int) -> CPU? {
    // `cpus` is sorted, and nearly always without holes.
    if cpus.indices.contains(id), cpus[id].id == id { return cpus[id] }
    return cpus.first { $0.id == id }
  }

  /// Why this process cannot run on `cpu`; nil when it can.
  package func reasonAgainst(_ cpu: Int) -> String? {
    if self[cpu: cpu] == nil { return "this machine has no such CPU" }
    if !online.contains(cpu) { return "it is offline" }
    if !allowed.contains(cpu) { return "the affinity or cpuset of this process forbids it" }
    return nil
  }
}

// MARK: - Parts

extension CPUTopology {
  /// A processor package: what sits in one socket.
  public struct Package: Sendable, Hashable, Codable, Identifiable {
    /// Its place in ``CPUTopology/packages``; the kernel's own numbers repeat on some machines.
    public var id: Int
    /// Its online CPUs.
    public var cpus: CPUSet
  }

  /// A die of a package.
  public struct Die: Sendable, Hashable, Codable, Identifiable {
    /// Its place in ``CPUTopology/dies``.
    public var id: Int
    /// The ``Package/id`` of its package.
    public var package: Int
    /// Its online CPUs.
    public var cpus: CPUSet
  }

  /// Memory and the CPUs that are nearest to it.
  public struct NUMANode: Sendable, Hashable, Codable, Identifiable {
    /// The kernel's number; numbers may have holes.
    public var id: Int
    /// Its online CPUs; empty for a node that is memory only.
    public var cpus: CPUSet
    /// Its memory in bytes; 0 for a node that is CPUs only, or where it is not known.
    public var memoryByteCount: Int
    /// Relative distances by node number as the firmware gives them (ACPI SLIT, 10 is the node
    /// itself); empty where the kernel gives none.
    public var distances: [Int: Int]
    /// The CPUs that are nearest to its memory: its own, and for a node without CPUs those that the
    /// firmware names as its initiators, else those of the nodes at the smallest distance.
    public var nearestCPUs: CPUSet
  }

  /// CPUs that share a cache.
  public struct CacheDomain: Sendable, Hashable, Codable {
    /// The cache's level: 3 for those of ``CPUTopology/l3Domains``.
    public var level: Int
    /// The cache's size in bytes; 0 where it is not known.
    public var byteCount: Int
    /// The online CPUs that share it.
    public var cpus: CPUSet
  }

  /// A physical core.
  public struct Core: Sendable, Hashable, Codable, Identifiable {
    /// Its place in ``CPUTopology/cores``; the kernel's own numbers repeat from package to package.
    public var id: Int
    /// The ``Package/id`` of its package.
    public var package: Int
    /// The ``NUMANode/id`` of its NUMA node.
    public var numaNode: Int
    /// What kind of core it is.
    public var kind: CoreKind
    /// Its online CPUs: more than one where it has hardware threads (SMT).
    public var cpus: CPUSet
  }

  /// A CPU: what the kernel schedules on.
  public struct CPU: Sendable, Hashable, Codable, Identifiable {
    /// The kernel's number.
    public var id: Int
    /// The ``Core/id`` of its core; -1 while it is offline, when the kernel does not say.
    public var core: Int
    /// What kind of core it belongs to; `.uniform` while it is offline.
    public var kind: CoreKind
    /// Whether it is switched on.
    public var isOnline: Bool
    /// Whether the kernel keeps it free of ordinary work (isolcpus).
    public var isIsolated: Bool
  }
}

/// A limit on CPU time: so much of each period, for all of a process's threads together.
public struct CPUQuota: Sendable, Hashable, Codable {
  /// CPU time in each period, in microseconds.
  public var quotaMicroseconds: Int
  /// The period, in microseconds.
  public var periodMicroseconds: Int

  /// The limit in CPUs.
  package var ratio: Double {
    Double(quotaMicroseconds) / Double(periodMicroseconds)
  }

  /// The limit in whole CPUs, rounded up, at least 1.
  public var cpuCount: Int {
    let (whole, rest) = quotaMicroseconds.quotientAndRemainder(dividingBy: periodMicroseconds)
    return max(1, whole + (rest > 0 ? 1 : 0))
  }
}

/// What a core is built for, on machines with cores of more than one kind.
public enum CoreKind: String, Sendable, Hashable, Codable, CaseIterable {
  /// A fast core of a machine that has slower ones too.
  case performance
  /// A slower, more economical core of a machine that has faster ones too.
  case efficiency
  /// A core of a machine whose cores are all alike.
  case uniform
}

/// Why the topology of a machine could not be read.
public enum TopologyError: Error, Sendable, CustomStringConvertible {
  /// A file or folder that every machine has cannot be read.
  case unreadable(FilePath, Errno)
  /// A file does not say what it should; the text says what it does.
  case malformed(FilePath, String)

  public var description: String {
    switch self {
    case .unreadable(let path, let error): "cannot read \(path): \(error)"
    case .malformed(let path, let text): "\(path) is malformed: \(text)"
    }
  }
}
