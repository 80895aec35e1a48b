// Whether the kernel's out-of-memory killer was at work: it counts its victims for each control group.

internal import Glibc
internal import ProcessorTopology
internal import Synchronization

/// The victims in the application's own group, in which its processes are too.
enum MemoryKills {
  /// How many there were at some time; nil: not looked yet.
  struct Mark: Sendable {
    fileprivate let count: UInt64?
  }

  private struct State {
    var isAskedFor = false
    var descriptor: Int32 = -1
    /// Those that were before the first look, or have a report of their own.
    var accounted: UInt64 = 0
  }

  private static let state = Mutex(State())

  /// To be taken when a process is started. Costs a read of a small file, some microseconds.
  static var mark: Mark {
    let (isNew, known) = state.withLock { state -> (Bool, UInt64?) in
      defer { state.isAskedFor = true }
      return (!state.isAskedFor, count(state.descriptor))
    }
    // Finding the file takes longer than starting a process, which must not wait for it.
    if isNew { (try? Reactor.shared())?.schedule(after: .milliseconds(20)) { open() } }
    return Mark(count: known)
  }

  /// Whether a process that SIGKILL ended, and that was started after the mark, is one of the victims:
  /// there is one more than there have been reports since.
  static func claim(since mark: Mark) -> Bool {
    state.withLock { state in
      let known = max(state.accounted, mark.count ?? 0)
      guard let count = count(state.descriptor), count > known else { return false }
      state.accounted = known + 1
      return true
    }
  }

  private static func open() {
    for path in CPUTopology.memoryKillFiles(root: "/") {
      let descriptor = unsafe Glibc.open(path.string, O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { continue }
      guard let count = count(descriptor) else {
        close(descriptor)
        continue
      }
      return state.withLock { state in
        state.descriptor = descriptor
        state.accounted = count
      }
    }
  }

  /// The line "oom_kill 3".
  private static func count(_ descriptor: Int32) -> UInt64? {
    guard descriptor >= 0 else { return nil }
    return unsafe withUnsafeTemporaryAllocation(byteCount: 1_024, alignment: 1) { buffer in
      let size = unsafe pread(descriptor, buffer.baseAddress, buffer.count, 0)
      guard size > 0 else { return nil }
      let text = unsafe String(decoding: buffer[..<size], as: UTF8.self)
      let line = text.split(separator: "\n").first { $0.hasPrefix("oom_kill ") }
      return line.flatMap { UInt64($0.dropFirst("oom_kill ".count)) }
    }
  }
}
