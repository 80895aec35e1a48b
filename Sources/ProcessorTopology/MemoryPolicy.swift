// The NUMA memory policy of a worker as a value, and its form for the kernel. It owns no state:
// the C core applies it in a worker before the Swift runtime starts.

/// From which NUMA nodes the kernel takes the pages that a process touches first.
///
/// Nodes are the kernel's numbers, see ``CPUTopology/NUMANode/id``. The policy holds for memory
/// touched after it was set; pages that exist already stay where they are. Child processes inherit
/// it. Described in set_mempolicy(2).
public enum MemoryPolicy: Sendable, Hashable, Codable {
  /// The system's default: the node of the CPU that touches the page.
  case `default`
  /// The node of the CPU that touches the page, even where the system's default is another.
  case local
  /// Only these nodes; when their memory is full, the process is out of memory.
  case bind([Int])
  /// This node while it has room, then others.
  case preferred(Int)
  /// Page by page in turn over these nodes.
  case interleave([Int])
}
