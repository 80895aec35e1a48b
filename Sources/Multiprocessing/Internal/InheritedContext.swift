// What a process inherits from the one that starts it, and a fork server's child would inherit from the
// server instead.
//
// A server is as old as its first child; meanwhile the application may have changed its limits, its
// niceness, the CPUs of the thread that starts, its folder and its output. What differs from the server's
// travels with the start, so that every start method inherits the same.

internal import CMultiprocessing
internal import Glibc
internal import ProcessorTopology

/// What is inherited, beside the environment, which is fixed when a program is executed.
struct InheritedContext: Sendable {
  /// By the number of the resource.
  private var limits: [mproc_limit]
  private var niceness: Int32
  var affinity: CPUSet

  /// Of the calling thread.
  static var current: InheritedContext {
    InheritedContext(affinity: CPUAffinity.current)
  }

  /// Of the process: what a server gets, whose first child is no more important than its others.
  static var ofProcess: InheritedContext {
    var words = [UInt](repeating: 0, count: 1 << 11)
    let size = unsafe words.withUnsafeMutableBufferPointer { buffer in
      unsafe mproc_affinity_get(
        getpid(), buffer.baseAddress, buffer.count * MemoryLayout<UInt>.stride)
    }
    return InheritedContext(affinity: size > 0 ? CPUSet(words: words) : CPUAffinity.current)
  }

  private init(affinity: CPUSet) {
    limits = (0..<mproc_limit_count).map { resource in
      var limit = mproc_limit(resource: resource, reserved: 0, soft: 0, hard: 0)
      _ = unsafe mproc_limit_get(&limit)
      return limit
    }
    niceness = mproc_niceness()
    self.affinity = affinity
  }

  /// Makes a child of a process that has `other` inherit this.
  func complete(_ request: inout StartRequest, from other: InheritedContext) {
    for (own, others) in zip(limits, other.limits)
    where own.soft != others.soft || own.hard != others.hard {
      request.inheritedLimits.append(own)
    }
    if niceness != other.niceness { request.inheritedNiceness = niceness }
    if affinity != other.affinity { request.inheritedAffinity = affinity }
  }
}
