// What `ProcessOptions` ask for is what the child has, read back in the child.

import Foundation
import Multiprocessing
import Testing

/// A child gets `SWIFT_BACKTRACE=enable=no` where the environment does not say otherwise.
private func withoutBacktraceSetting(_ environment: [String: String]) -> [String: String] {
  environment.filter { $0.key != "SWIFT_BACKTRACE" }
}

@Suite("Options of a child process", .serialized, .timeLimit(.minutes(2)))
struct ChildOptionsTests {
  @Test("the environment replaces the application's", arguments: startMethods)
  func environment(_ method: StartMethod) async throws {
    let options = ProcessOptions(method) { $0.environment = ["ONLY": "this one = é", "EMPTY": ""] }
    let child = try ChildProcess(options: options) { ProcessInfo.processInfo.environment }
    let environment = withoutBacktraceSetting(try await child.value)
    #expect(environment == ["ONLY": "this one = é", "EMPTY": ""])
  }

  @Test("the environment is the application's by default", arguments: startMethods)
  func inheritedEnvironment(_ method: StartMethod) async throws {
    let child = try ChildProcess(options: ProcessOptions(method)) {
      ProcessInfo.processInfo.environment
    }
    let environment = withoutBacktraceSetting(try await child.value)
    #expect(environment == withoutBacktraceSetting(ProcessInfo.processInfo.environment))
  }

  @Test("a backtrace setting in the environment is kept", arguments: startMethods)
  func backtraceSetting(_ method: StartMethod) async throws {
    let options = ProcessOptions(method) { $0.environment = ["SWIFT_BACKTRACE": "enable=tty"] }
    let child = try ChildProcess(options: options) {
      ProcessInfo.processInfo.environment["SWIFT_BACKTRACE"]
    }
    #expect(try await child.value == "enable=tty")
  }

  @Test("the working directory is the one asked for", arguments: startMethods)
  func workingDirectory(_ method: StartMethod) async throws {
    let child = try ChildProcess(options: ProcessOptions(method) { $0.workingDirectory = "/usr" }) {
      FileManager.default.currentDirectoryPath
    }
    #expect(try await child.value == "/usr")
    let inherited = try ChildProcess(options: ProcessOptions(method)) {
      FileManager.default.currentDirectoryPath
    }
    #expect(try await inherited.value == FileManager.default.currentDirectoryPath)
  }

  @Test("the niceness is the one asked for", arguments: startMethods)
  func niceness(_ method: StartMethod) async throws {
    let own = nice(0)
    let child = try ChildProcess(options: ProcessOptions(method) { $0.niceness = 17 }) { nice(0) }
    #expect(try await child.value == 17)
    #expect(nice(0) == own)
    let inherited = try ChildProcess(options: ProcessOptions(method)) { nice(0) }
    #expect(try await inherited.value == own)
  }

  @Test("a resource limit is the kernel's", arguments: startMethods)
  func resourceLimit(_ method: StartMethod) async throws {
    let options = ProcessOptions(method) {
      $0.resourceLimits = [
        ResourceLimit(.openFiles, soft: 77, hard: 99), ResourceLimit(.coreFile, soft: 0, hard: 0),
      ]
    }
    let child = try ChildProcess(options: options) {
      try String(contentsOfFile: "/proc/self/limits", encoding: .utf8)
    }
    let lines = try await child.value.split(separator: "\n").map {
      $0.split(separator: " ").map(String.init)
    }
    #expect(lines.first { $0.starts(with: ["Max", "open", "files"]) }?[3...4] == ["77", "99"])
    #expect(lines.first { $0.starts(with: ["Max", "core", "file"]) }?[4...5] == ["0", "0"])
  }

  @Test("all threads of the child run on the CPUs asked for", arguments: startMethods)
  func affinity(_ method: StartMethod) async throws {
    for cpu in CPUTopology.current.allowed {
      let child = try ChildProcess(options: ProcessOptions(method) { $0.affinity = [cpu] }) {
        () async throws -> [String] in
        // Brings up the threads of Swift's pool.
        await withTaskGroup(of: Void.self) { group in
          for _ in 0..<8 { group.addTask { usleep(1_000) } }
        }
        return try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").map {
          try field("Cpus_allowed_list", of: "/proc/self/task/\($0)/status") ?? ""
        } + ["\(CurrentProcess.affinity)"]
      }
      let lists = try await child.value
      #expect(lists.count >= 3)
      #expect(lists.allSatisfy { $0 == "\(cpu)" }, "\(lists)")
    }
  }

  @Test("standard input is empty", arguments: startMethods)
  func standardInput(_ method: StartMethod) async throws {
    let child = try ChildProcess(options: ProcessOptions(method)) { readLine() }
    #expect(try await child.value == nil)
  }

  @Test("a missing working directory fails the start and names it", arguments: startMethods)
  func missingDirectory(_ method: StartMethod) throws {
    let error = #expect(throws: ProcessError.self) {
      try ChildProcess(options: ProcessOptions(method) { $0.workingDirectory = "/no/such/place" }) {
        1
      }
    }
    guard case .startFailed(let errno, let operation)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(errno == .noSuchFileOrDirectory)
    #expect(operation.contains("/no/such/place"))
  }

  @Test("a CPU that does not exist fails the start and is named", arguments: startMethods)
  func missingCPU(_ method: StartMethod) throws {
    let error = #expect(throws: ProcessError.self) {
      try ChildProcess(options: ProcessOptions(method) { $0.affinity = [4_095] }) { 1 }
    }
    #expect(error?.description.contains("4095") == true, "\(String(describing: error))")
  }

  @Test("after a failed start the next one works", arguments: startMethods)
  func afterFailedStart(_ method: StartMethod) async throws {
    for _ in 0..<3 {
      #expect(throws: ProcessError.self) {
        try ChildProcess(options: ProcessOptions(method) { $0.workingDirectory = "/no/such/place" })
        { 1 }
      }
      #expect(try await ChildProcess(1, options: ProcessOptions(method)) { $0 + 1 }.value == 2)
    }
  }

  @Test("starts that fail do not disturb those beside them", arguments: startMethods)
  func failingBeside(_ method: StartMethod) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<4 {
        group.addTask {
          for _ in 0..<(method == .spawn ? 5 : 100) {
            let options = ProcessOptions(method) { $0.workingDirectory = "/no/such/place" }
            #expect(throws: ProcessError.self) { try ChildProcess(options: options) { 1 } }
            let child = try ChildProcess(1, options: ProcessOptions(method)) { $0 + 1 }
            #expect(try await child.value == 2)
          }
        }
      }
      try await group.waitForAll()
    }
  }

  @Test(
    "an environment that cannot be is refused", arguments: startMethods,
    [["": "x"], ["A=B": "x"], ["A\0": "x"], ["A": "x\0y"]])
  func impossibleEnvironment(_ method: StartMethod, _ environment: [String: String]) throws {
    let error = #expect(throws: ProcessError.self) {
      try ChildProcess(options: ProcessOptions(method) { $0.environment = environment }) { 1 }
    }
    #expect(try configurationProblem(of: error).contains("environment"))
    #expect(throws: ProcessError.self) {
      try ChildProcess.forking(options: ProcessOptions(environment: environment)) { 1 }
    }
  }

  @Test("a limit without a hard one keeps what the process may have", arguments: startMethods)
  func softLimit(_ method: StartMethod) async throws {
    let options = ProcessOptions(method) {
      $0.resourceLimits = [ResourceLimit(.openFiles, soft: 77), ResourceLimit(.coreFile, soft: 0)]
    }
    let child = try ChildProcess(options: options) { () -> [UInt] in
      var limit = rlimit()
      unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
      return [limit.rlim_cur, limit.rlim_max]
    }
    let limits = try await child.value
    #expect(limits[0] == 77)
    #expect(limits[1] > 77)
  }
}
