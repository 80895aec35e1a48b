// The running copies of a command: started one after the other, waited for in the order in which they
// end. Signals are held back from the first start on, so none is lost, and passed on.

internal import CMultiprocessing
internal import Glibc
internal import ProcessorTopology
internal import SystemPackage

struct Crew {
  private struct Member {
    var pid: pid_t
    var asked: CPUSet
    /// What the kernel made of it, read back right after the start.
    var verified: CPUSet
    var isRunning = true
  }

  private var members: [Member] = []
  private let acceptsNarrowing: Bool
  /// 0 until one fails.
  private var status: Int32 = 0

  init(acceptsNarrowing: Bool) throws {
    self.acceptsNarrowing = acceptsNarrowing
    let error = mproc_launch_hold_signals()
    if error < 0 { throw Failure("signals: \(Errno(rawValue: -error))", status: 125) }
  }
}

// MARK: - Starting

extension Crew {
  /// Starts a copy; an empty set: not bound.
  mutating func start(
    _ command: [String], on cpus: CPUSet, environment added: [String: String]
  ) throws {
    var stage: Int32 = 0
    let pid = unsafe withStrings(command) { arguments in
      unsafe withStrings(environment(with: added)) { environment in
        unsafe cpus.words.withUnsafeBufferPointer { mask in
          unsafe mproc_launch(
            arguments, environment, mask.isEmpty ? nil : mask.baseAddress,
            mask.count * MemoryLayout<UInt>.stride, &stage)
        }
      }
    }
    guard pid > 0 else { throw failure(Errno(rawValue: -pid), stage, command[0], cpus) }
    // A copy that has ended already is its own proof: the mask was set before the command ran.
    let verified = cpus.isEmpty ? CPUSet() : (try? CPUAffinity.mask(ofThread: pid)) ?? cpus
    members.append(Member(pid: pid, asked: cpus, verified: verified))
    if verified != cpus, !acceptsNarrowing {
      throw Failure(CPUAffinity.narrowing(of: cpus, to: verified).description, status: 125)
    }
  }

  private func failure(
    _ error: Errno, _ stage: Int32, _ command: String, _ cpus: CPUSet
  ) -> Failure {
    switch stage {
    case MPROC_LAUNCH_COMMAND:
      return Failure("\(command): \(error)", status: error == .noSuchFileOrDirectory ? 127 : 126)
    case MPROC_LAUNCH_AFFINITY:
      return Failure("CPUs \(cpus) are not available: \(error)", status: 125)
    default: return Failure("a process cannot be started: \(error)", status: 125)
    }
  }

  /// Ends the copies that were started, when not all could be.
  mutating func abandon() {
    for member in members { Glibc.kill(member.pid, SIGKILL) }
    for member in members {
      while waitpid(member.pid, nil, 0) < 0, errno == EINTR {}
    }
    members = []
  }

  private func environment(with added: [String: String]) -> [String] {
    var lines: [String] = []
    var next = unsafe environ
    while let line = unsafe next.pointee {
      let text = unsafe String(cString: line)
      if added[String(text.prefix { $0 != "=" })] == nil { lines.append(text) }
      unsafe next += 1
    }
    return lines + added.map { "\($0)=\($1)" }
  }

  /// The strings as C wants them: an array with NULL at its end.
  private func withStrings<R>(
    _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R
  ) -> R {
    var pointers = unsafe strings.map { unsafe strdup($0) }
    unsafe pointers.append(nil)
    defer { unsafe pointers.forEach { unsafe free($0) } }
    return unsafe pointers.withUnsafeBufferPointer { buffer in
      // The array has an element, so there is an address.
      unsafe body(buffer.baseAddress!)
    }
  }
}

// MARK: - Waiting

extension Crew {
  /// Returns when all have ended: the status of the first that failed, else 0.
  mutating func wait() throws -> Int32 {
    reap()
    while members.contains(where: \.isRunning) {
      var sender: pid_t = 0
      let signal = unsafe mproc_launch_wait(&sender)
      if signal < 0 { throw Failure("signals: \(Errno(rawValue: -signal))", status: 125) }
      // What the kernel sends to a terminal's whole process group, the copies have already.
      if signal != SIGCHLD, sender != 0 {
        for member in members where member.isRunning { Glibc.kill(member.pid, signal) }
      }
      reap()
    }
    return status
  }

  private mutating func reap() {
    for index in members.indices where members[index].isRunning {
      var code: Int32 = 0
      guard unsafe waitpid(members[index].pid, &code, WNOHANG) == members[index].pid else {
        continue
      }
      members[index].isRunning = false
      // The lower seven bits are the signal, the next eight the exit status (wait(2)).
      let ended = code & 0x7F == 0 ? (code >> 8) & 0xFF : 128 + code & 0x7F
      if status == 0 { status = ended }
    }
  }
}

// MARK: - Reporting

extension Crew {
  func reportBindings(on topology: CPUTopology) {
    for (index, member) in members.enumerated() {
      let head = "copy \(index), process \(member.pid): "
      if member.verified.isEmpty {
        complain(head + "not bound")
        continue
      }
      var line = "bound to CPUs \(member.verified) (\(topology.place(of: member.verified)))"
      if member.asked != member.verified { line += ", asked for CPUs \(member.asked)" }
      let sharing = members.indices.filter { other in
        other != index && !members[other].verified.isDisjoint(with: member.verified)
      }
      if !sharing.isEmpty { line += ", shared with \(CPUSet(sharing))" }
      complain(head + line)
    }
  }
}
