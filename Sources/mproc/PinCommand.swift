// `mproc pin`: the CPUs of a process that runs already.

internal import ArgumentParser
internal import Glibc
internal import ProcessorTopology
internal import SystemPackage

struct PinCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pin",
    abstract: "Bind a running process to CPUs, or show what it is bound to.",
    discussion: """
      Each thread has a mask of its own, and threads that it makes later inherit it: without --all-threads \
      only the first thread is bound. The mask is read back, and a CPU that the kernel dropped is an \
      error that names it. Memory that the process has touched stays where it is.
      """)

  @Option(help: ArgumentHelp("The process, or a thread of one.", valueName: "pid"))
  var pid: Int32

  @Flag(help: "All threads of the process.")
  var allThreads = false

  @Option(help: ArgumentHelp("Where to.", discussion: CPUSelection.help, valueName: "list"))
  var cpus: CPUSelection?

  func validate() throws {
    guard pid > 0 else { throw ValidationError("--pid takes the number of a process") }
  }

  func run() throws {
    let topology = CPUTopology.current
    let wanted = try cpus?.cpus(on: topology)
    var seen: Set<Int32> = []
    // Threads that were made while others were bound have the mask of who made them: look again.
    while true {
      let fresh = try threads().filter { !seen.contains($0) }
      if fresh.isEmpty { return }
      for thread in fresh {
        seen.insert(thread)
        try handle(thread, wanted, topology)
      }
      if wanted == nil { return }
    }
  }

  private func handle(_ thread: Int32, _ wanted: CPUSet?, _ topology: CPUTopology) throws {
    do {
      let before = try CPUAffinity.mask(ofThread: thread)
      let mask = try wanted.map { try CPUAffinity.set($0, ofThread: thread) } ?? before
      if let wanted, mask != wanted {
        _ = try? CPUAffinity.set(before, ofThread: thread)
        throw Failure("\(thread): \(CPUAffinity.narrowing(of: wanted, to: mask))", status: 1)
      }
      print("\(thread): CPUs \(mask) (\(topology.place(of: mask)))")
    } catch let error as Errno {
      // A thread that ended meanwhile needs no mask.
      if error == .noSuchProcess, thread != pid { return }
      throw Failure(refusal(error, wanted, topology), status: 1)
    }
  }

  private func refusal(_ error: Errno, _ wanted: CPUSet?, _ topology: CPUTopology) -> String {
    guard error == .invalidArgument, let wanted else { return "process \(pid): \(error)" }
    let reasons = wanted.map { cpu in
      "CPU \(cpu): \(topology.reasonAgainst(cpu) ?? "the cpuset of process \(pid) forbids it")"
    }
    return "process \(pid) cannot be bound: \(reasons.joined(separator: "; "))"
  }

  private func threads() throws -> [Int32] {
    guard allThreads else { return [pid] }
    guard let folder = unsafe opendir("/proc/\(pid)/task") else {
      throw Failure("process \(pid): \(Errno(rawValue: errno))", status: 1)
    }
    defer { unsafe closedir(folder) }
    var threads: [Int32] = []
    while let entry = unsafe readdir(folder) {
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
        unsafe name.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) {
          unsafe String(cString: $0)
        }
      }
      if let thread = Int32(name) { threads.append(thread) }
    }
    return threads.sorted()
  }
}
