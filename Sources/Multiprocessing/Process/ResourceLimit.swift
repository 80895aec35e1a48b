// Limits that the kernel enforces on a process (setrlimit).

internal import Glibc

/// A limit that the kernel enforces on a process, as `setrlimit` does.
public struct ResourceLimit: Sendable, Hashable {
  /// What is limited: bytes, except `cpuTime` (seconds), `openFiles` and `processes` (counts).
  public enum Resource: String, Sendable, Hashable, CaseIterable {
    case addressSpace, coreFile, cpuTime, data, fileSize, lockedMemory, openFiles, processes, stack
  }

  public var resource: Resource
  /// nil: unlimited.
  public var soft: UInt64?
  /// nil: unlimited; where that is more than the process may have, as high as it is.
  public var hard: UInt64?

  public init(_ resource: Resource, soft: UInt64?, hard: UInt64? = nil) {
    self.resource = resource
    self.soft = soft
    self.hard = hard
  }
}

extension ResourceLimit.Resource {
  /// The kernel's number for it.
  var number: Int32 {
    switch self {
    case .addressSpace: Int32(RLIMIT_AS.rawValue)
    case .coreFile: Int32(RLIMIT_CORE.rawValue)
    case .cpuTime: Int32(RLIMIT_CPU.rawValue)
    case .data: Int32(RLIMIT_DATA.rawValue)
    case .fileSize: Int32(RLIMIT_FSIZE.rawValue)
    case .lockedMemory: Int32(__RLIMIT_MEMLOCK.rawValue)
    case .openFiles: Int32(RLIMIT_NOFILE.rawValue)
    case .processes: Int32(__RLIMIT_NPROC.rawValue)
    case .stack: Int32(RLIMIT_STACK.rawValue)
    }
  }
}
