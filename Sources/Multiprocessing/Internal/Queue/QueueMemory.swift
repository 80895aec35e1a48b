// A queue as this process has it: its memory, mapped, and its ends.

internal import CMultiprocessing
internal import SystemPackage

/// The mapping of a queue; unmapped with its last handle.
///
/// Sendable because the C core takes calls of several threads at once.
@safe
final class QueueMemory: @unchecked Sendable {
  let queue: OpaquePointer
  /// The mapping needs it for as long as it lives.
  let descriptor: SharedDescriptor

  /// The mapping of this process, one for all handles.
  static func of(_ descriptor: SharedDescriptor) throws(ProcessError) -> QueueMemory {
    try descriptor.mapping { descriptor throws(ProcessError) in try QueueMemory(descriptor) }
  }

  private init(_ descriptor: SharedDescriptor) throws(ProcessError) {
    var queue: OpaquePointer?
    let result = unsafe mproc_queue_open(descriptor.rawValue, &queue)
    guard result == 0, let queue = unsafe queue else {
      throw .startFailed(Errno(rawValue: -result), operation: "mapping a queue")
    }
    unsafe self.queue = unsafe queue
    self.descriptor = descriptor
  }

  deinit { unsafe mproc_queue_close(queue) }
}

/// An end of a queue: as long as any process has its descriptor, the other side goes on.
final class QueueEnd: @unchecked Sendable {  // Changed by `deinit` alone.
  private let memory: QueueMemory
  private var held: SharedDescriptor?

  init(_ descriptor: SharedDescriptor, _ memory: QueueMemory) {
    self.memory = memory
    held = descriptor
  }

  var descriptor: SharedDescriptor { held! }  // Until `deinit`.

  /// Those who wait look at once whether this was the last one; without this after 20 ms, as when a process dies.
  deinit {
    held = nil
    unsafe mproc_queue_stir(memory.queue)
  }
}
