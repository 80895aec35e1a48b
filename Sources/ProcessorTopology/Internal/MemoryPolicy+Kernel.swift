// The kernel's form of a memory policy: a mode number and a mask of nodes.

internal import CMultiprocessing
package import SystemPackage

extension MemoryPolicy {
  /// The mode for `mproc_memory_policy_set`.
  package var kernelMode: Int32 {
    switch self {
    case .default: Int32(MPROC_MEMORY_POLICY_DEFAULT)
    case .local: Int32(MPROC_MEMORY_POLICY_LOCAL)
    case .bind: Int32(MPROC_MEMORY_POLICY_BIND)
    case .preferred: Int32(MPROC_MEMORY_POLICY_PREFERRED)
    case .interleave: Int32(MPROC_MEMORY_POLICY_INTERLEAVE)
    }
  }

  /// The nodes that it names.
  package var nodes: [Int] {
    switch self {
    case .default, .local: []
    case .preferred(let node): [node]
    case .bind(let list), .interleave(let list): list
    }
  }

  /// The nodes for `mproc_memory_policy_set`, node n being bit n % 64 of word n / 64.
  ///
  /// Empty for `.default` and `.local`, and also where a node number is negative or above
  /// 1,048,575: the kernel then answers EINVAL, as it does for a node that is not there.
  package var kernelNodes: [UInt] {
    guard nodes.allSatisfy({ $0 >= 0 && $0 <= CPUSet.highestCPU }) else { return [] }
    return CPUSet(nodes).words
  }

  /// Sets the policy of the calling thread.
  ///
  /// - Throws: `.invalidArgument` for a node that is not there or has no memory, `.noFunction` on
  ///   a kernel without NUMA, `.notPermitted` where a sandbox forbids the call.
  package func applyToCallingThread() throws(Errno) {
    let nodes = kernelNodes
    // The kernel reads "preferred, no node" as local, which is not what was asked for.
    if case .preferred = self, nodes.isEmpty { throw .invalidArgument }
    let result = unsafe nodes.withUnsafeBufferPointer { buffer in
      unsafe mproc_memory_policy_set(
        kernelMode, buffer.isEmpty ? nil : buffer.baseAddress,
        buffer.count * MemoryLayout<UInt>.stride)
    }
    if result < 0 { throw Errno(rawValue: -result) }
  }
}
