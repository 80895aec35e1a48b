// Shared memory on a NUMA node: who asks for which, and why it cannot be had.

internal import CMultiprocessing
internal import SystemPackage

enum MemoryBinding {
  /// For the C core: pages come from the node of the CPU that touches them first.
  static let anyNode = Int32(MPROC_NODE_ANY)

  /// Makes shared memory on `node`, which its user asked for, or throws why that cannot be.
  static func create(
    on node: Int?, _ operation: String, _ make: (Int32) -> Int32
  ) throws(ProcessError) -> Int32 {
    guard let node else { return try check(make(anyNode), operation) }
    let made = Int32(exactly: node).map { $0 < 0 ? -EINVAL : make($0) } ?? -EINVAL
    if made >= 0 { return made }
    let topology = MachineView.current.topology
    if made == -EINVAL {
      throw .invalidConfiguration("memory on NUMA node \(node): \(reason(against: node, topology))")
    }
    // Where the kernel has no NUMA, or a sandbox forbids to ask, the only node has all memory anyway.
    if made == -ENOSYS || made == -EPERM, topology.numaNodes.count == 1 {
      return try check(make(anyNode), operation)
    }
    throw .startFailed(Errno(rawValue: -made), operation: "binding memory to NUMA node \(node)")
  }

  /// The policy that a process is to set, or nil where there is nothing to choose from. Throws for nodes that are
  /// not there or have no memory.
  static func checked(_ policy: MemoryPolicy?) throws(ProcessError) -> MemoryPolicy? {
    guard let policy else { return nil }
    let topology = MachineView.current.topology
    for node in policy.nodes {
      if let reason = reason(against: node, topology, orElse: nil) {
        throw .invalidConfiguration("memory policy \(policy): NUMA node \(node): \(reason)")
      }
    }
    if policy.nodes.isEmpty, policy != .default, policy != .local {
      throw .invalidConfiguration("memory policy \(policy): it names no NUMA node")
    }
    return topology.numaNodes.count > 1 ? policy : nil
  }

  /// The nodes were found to be there and to have memory.
  static func forbidden(_ policy: MemoryPolicy) -> ProcessError {
    let nodes = policy.nodes.map { "node \($0)" }.joined(separator: ", ")
    return .invalidConfiguration(
      "memory policy \(policy): the cpuset of this process forbids NUMA \(nodes)")
  }

  private static func reason(against node: Int, _ topology: CPUTopology) -> String {
    reason(against: node, topology, orElse: "the cpuset of this process forbids it") ?? ""
  }

  private static func reason(
    against node: Int, _ topology: CPUTopology, orElse other: String?
  ) -> String? {
    let nodes = topology.numaNodes
    guard let found = nodes.first(where: { $0.id == node }) else {
      let names = nodes.map { String($0.id) }.joined(separator: ", ")
      return "there is no such node; this machine's are \(names)"
    }
    if nodes.count > 1, found.memoryByteCount == 0 { return "it has no memory" }
    return other
  }

  /// The node that all of `cpus` belong to, where there is more than one to choose from.
  static func node(of cpus: CPUSet?, _ topology: CPUTopology) -> Int? {
    guard let cpus, !cpus.isEmpty, topology.numaNodes.count > 1 else { return nil }
    return topology.numaNodes.first { $0.memoryByteCount > 0 && cpus.isSubset(of: $0.cpus) }?.id
  }

  /// Makes memory on the node of a worker, or where it happens to be touched when that cannot be had: placed
  /// memory is faster, and nothing else.
  static func createPreferred(on node: Int?, _ make: (Int32) -> Int32) -> Int32 {
    guard let node else { return make(anyNode) }
    let made = make(Int32(clamping: node))
    return made >= 0 ? made : make(anyNode)
  }
}
