// What a child is to be, in the form that the C core takes.

internal import CMultiprocessing
internal import Glibc
internal import ProcessorTopology

/// The options of one start, with the descriptors that the child gets.
struct StartRequest {
  var role: mproc_role
  var name: String
  var workerIndex: Int?
  var options: ProcessOptions
  var ignoresInterrupt = false
  /// Whether a CPU mask that the kernel cut down will do.
  var acceptsNarrowing = false
  var standardOutput: Int32 = -1
  var standardError: Int32 = -1
  var submissions: Int32 = -1
  var completions: Int32 = -1
  var bell: Int32 = -1
  var argumentArena: Int32 = -1
  var resultArena: Int32 = -1
  /// A page for the crash record; a worker's is in `completions`.
  var crash: Int32 = -1
  var payload: [UInt8] = []
  var payloadDescriptor: Int32 = -1
  /// What must have run before the body; see `Preload`.
  var preload: Preload?
  /// Where the options say nothing.
  var inheritedLimits: [mproc_limit] = []
  var inheritedNiceness: Int32?
  var inheritedAffinity: CPUSet?
  var currentDirectory: Int32 = -1

  /// For a child of a server, which may have other streams than this process.
  mutating func inheritStreams() {
    if standardOutput < 0, mproc_is_open(STDOUT_FILENO) { standardOutput = STDOUT_FILENO }
    if standardError < 0, mproc_is_open(STDERR_FILENO) { standardError = STDERR_FILENO }
  }

  /// Calls `body` with the core's form, which is valid only inside.
  func withStart<R>(_ body: (UnsafePointer<mproc_start>) -> R) -> R {
    let affinity = (options.affinity ?? inheritedAffinity)?.words ?? []
    let nodes = options.memoryPolicy?.kernelNodes ?? []
    let limits =
      inheritedLimits
      + options.resourceLimits.map {
        mproc_limit(
          resource: $0.resource.number, reserved: 0, soft: $0.soft ?? UInt64.max,
          hard: $0.hard ?? UInt64.max)
      }
    let directory = options.workingDirectory?.string
    return unsafe affinity.withUnsafeBufferPointer { affinity in
      unsafe nodes.withUnsafeBufferPointer { nodes in
        unsafe limits.withUnsafeBufferPointer { limits in
          unsafe payload.withUnsafeBytes { payload in
            unsafe name.withCString { name in
              unsafe withOptionalCString(directory) { directory in
                var start = unsafe mproc_start()
                unsafe start.role = role.rawValue
                unsafe start.worker_index = Int32(workerIndex ?? -1)
                unsafe start.niceness = options.niceness ?? inheritedNiceness ?? Int32.min
                unsafe start.ignores_interrupt = ignoresInterrupt ? 1 : 0
                unsafe start.policy_mode = options.memoryPolicy?.kernelMode ?? -1
                unsafe start.name = name
                unsafe start.directory = directory
                if options.affinity != nil || inheritedAffinity != nil {
                  unsafe start.affinity = affinity.baseAddress
                }
                unsafe start.affinity_bytes = affinity.count * MemoryLayout<UInt>.stride
                unsafe start.policy_nodes = nodes.baseAddress
                unsafe start.policy_nodes_bytes = nodes.count * MemoryLayout<UInt>.stride
                unsafe start.limits = limits.baseAddress
                unsafe start.limit_count = limits.count
                unsafe start.payload = payload.baseAddress
                unsafe start.payload_bytes = payload.count
                unsafe start.control = -1
                unsafe start.lifeline = -1
                unsafe start.standard_output = standardOutput
                unsafe start.standard_error = standardError
                unsafe start.submissions = submissions
                unsafe start.completions = completions
                unsafe start.bell = bell
                unsafe start.argument_arena = argumentArena
                unsafe start.result_arena = resultArena
                unsafe start.crash = crash
                unsafe start.payload_descriptor = payloadDescriptor
                unsafe start.current_directory = currentDirectory
                return unsafe body(&start)
              }
            }
          }
        }
      }
    }
  }
}

private func withOptionalCString<R>(
  _ string: String?, _ body: (UnsafePointer<CChar>?) -> R
) -> R {
  guard let string else { return body(nil) }
  return unsafe string.withCString { unsafe body($0) }
}
