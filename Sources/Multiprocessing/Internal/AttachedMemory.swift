// The memory of shared objects in this process, by number, however it came here.

internal import CMultiprocessing
internal import Synchronization

/// Finds the memory of a shared object that a value names.
///
/// A descriptor always sets out before the value that names it, but on another way: who decodes the value
/// first waits for it here.
@safe
final class AttachedMemory: Sendable {
  static let shared = AttachedMemory()

  private struct Weak {
    weak var mapping: SharedMapping?
  }

  private struct State {
    var descriptors: [UInt64: (descriptor: Int32, byteCount: Int)] = [:]
    var mappings: [UInt64: Weak] = [:]
    var waiters = 0
  }

  private let state = Mutex(State())
  private nonisolated(unsafe) let arrival: UnsafeMutableRawPointer

  private init() {
    guard let arrival = unsafe mproc_semaphore_create() else { fatalError("out of memory") }
    unsafe self.arrival = arrival
  }

  /// Remembers memory that this process made or mapped.
  func note(_ mapping: SharedMapping) {
    state.withLock { $0.mappings[mapping.number] = Weak(mapping: mapping) }
  }

  func forget(_ number: UInt64) {
    state.withLock { state in
      if state.mappings[number]?.mapping == nil { state.mappings[number] = nil }
    }
  }

  /// A descriptor has arrived from the application, which is not asked for it again.
  func add(_ number: UInt64, byteCount: Int, _ descriptor: Int32) {
    let (old, waiters) = state.withLock { state in
      (state.descriptors.updateValue((descriptor, byteCount), forKey: number), state.waiters)
    }
    if let old { _ = mproc_close(old.descriptor) }
    for _ in 0..<waiters { unsafe mproc_semaphore_signal(arrival) }
  }

  /// The memory with this number; waits for its descriptor in a child. Throws when it is not here.
  func mapping(_ number: UInt64) throws(ProcessError) -> SharedMapping {
    while true {
      if let mapping = state.withLock({ $0.mappings[number]?.mapping }) { return mapping }
      let found = state.withLock { state -> (descriptor: Int32, byteCount: Int)? in
        if let found = state.descriptors[number] { return found }
        state.waiters += 1
        return nil
      }
      if let found {
        let mapping = try SharedMapping(
          number: number, descriptor: found.descriptor, byteCount: found.byteCount, owns: false)
        note(mapping)
        return mapping
      }
      guard CurrentProcess.isWorker else {
        state.withLock { $0.waiters -= 1 }
        throw .notTransferable(
          TransferFailure(
            typeName: "a handle of shared memory", reason: "its memory is not in this process",
            cure: "make it in the application and pass it to the workers"))
      }
      unsafe mproc_semaphore_wait(arrival)
      state.withLock { $0.waiters -= 1 }
    }
  }
}
