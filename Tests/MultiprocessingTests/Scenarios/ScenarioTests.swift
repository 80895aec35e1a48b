// What must be counted, or killed, from outside: runs of the Scenarios executable, which lies beside the tests.

import Foundation
import Glibc
import Multiprocessing
import Testing

/// One run of the Scenarios executable. Every process of it, grandchildren too, inherits a mark.
final class Scenario {
  private let process = Process()
  private let output = Pipe()
  private let mark = "MPROC_SCENARIO=" + UUID().uuidString

  init(_ arguments: String..., standardError: FileHandle? = nil) throws {
    let test = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    process.executableURL = URL(fileURLWithPath: test).deletingLastPathComponent()
      .appendingPathComponent("Scenarios")
    process.arguments = arguments
    let (name, value) = (mark.prefix { $0 != "=" }, mark.drop { $0 != "=" }.dropFirst())
    process.environment = ProcessInfo.processInfo.environment.merging([String(name): String(value)])
    { $1 }
    process.standardOutput = output
    if let standardError { process.standardError = standardError }
    process.standardInput = FileHandle.nullDevice
    try process.run()
  }

  deinit {
    if process.isRunning { Glibc.kill(process.processIdentifier, SIGKILL) }
  }

  /// Everything that it and its processes printed, once all have closed the stream, and its exit status. Holds no
  /// thread of Swift's pool while it waits: there are two of them on a machine with two CPUs.
  func finish() async throws -> (lines: [String], status: Int32) {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread { [output, process] in
        continuation.resume(
          with: Result {
            let bytes = try output.fileHandleForReading.readToEnd() ?? Data()
            process.waitUntilExit()
            let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
            return (lines.map(String.init), process.terminationStatus)
          })
      }
    }
  }

  /// Its first line. Holds no thread while it waits, so that the time limit can end it.
  func readLine() async throws -> String {
    let handle = output.fileHandleForReading
    var bytes = Data()
    while true {
      var source = pollfd(fd: handle.fileDescriptor, events: Int16(POLLIN), revents: 0)
      try await until { unsafe poll(&source, 1, 0) != 0 }
      guard let next = try handle.read(upToCount: 1), !next.isEmpty, next != Data("\n".utf8) else {
        break
      }
      bytes += next
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  func send(_ signal: Int32) { Glibc.kill(process.processIdentifier, signal) }

  /// SIGKILL, which it cannot see coming.
  func kill() {
    Glibc.kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }

  /// The processes that are alive and carry the mark.
  func survivors() throws -> [pid_t] {
    try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { pid_t($0) }.filter {
      pid in
      guard let environment = FileManager.default.contents(atPath: "/proc/\(pid)/environ") else {
        return false
      }
      return environment.range(of: Data(mark.utf8)) != nil && isAlive(pid)
    }
  }
}

/// What lies in /dev/shm, the folders of other tests aside.
private func sharedMemoryNames() -> Set<String> {
  let names = (try? FileManager.default.contentsOfDirectory(atPath: "/dev/shm")) ?? []
  return Set(names.filter { !$0.hasPrefix("mproc-test-") })
}

@Suite("Scenarios in a process of their own", .serialized, .timeLimit(.minutes(2)))
struct ScenarioTests {
  @Test("processes and pools work in a program without Foundation")
  func smoke() async throws {
    let (lines, status) = try await Scenario("smoke").finish()
    #expect(lines.last == "smoke passed")
    #expect(status == 0)
  }

  @Test("a worker never runs main")
  func sideEffects() async throws {
    try await withTemporaryDirectory { directory in
      let path = directory + "/count"
      let (lines, status) = try await Scenario("side-effects", path).finish()
      #expect(lines == ["main ran", "side-effects passed"])
      #expect(status == 0)
      #expect(try String(contentsOfFile: path, encoding: .utf8) == "main ran\n")
    }
  }

  @Test("a thousand crashes, each of them reported, leave nothing behind")
  func crashLoop() async throws {
    let (lines, status) = try await Scenario("crash-loop", "1000").finish()
    #expect(lines.last == "crashes passed", "\(lines)")
    #expect(status == 0)
  }

  @Test("forty pools, however they end, leave nothing behind")
  func leaks() async throws {
    let (lines, status) = try await Scenario("leaks", "40").finish()
    #expect(lines == ["leaks none"])
    #expect(status == 0)
  }

  @Test(
    "a whole life, twice, leaves what it left the first time",
    arguments: ["forkServer", "spawn", "fork"])
  func lifecycle(_ method: String) async throws {
    let (lines, status) = try await Scenario("lifecycle", method).finish()
    #expect(lines.last == "lifecycle passed", "\(lines)")
    #expect(status == 0)
  }

  @Test(
    "what workers write to standard error arrives, and holds up nobody else",
    arguments: ["flood", "stuck", "closed", "grandchild", "exit"])
  func standardError(_ which: String) async throws {
    let (lines, status) = try await Scenario("standard-error", which).finish()
    #expect(lines.last == "standard error passed")
    #expect(status == 0)
  }

  @Test(
    "a worker that the kernel ends for want of memory is told from one that is killed",
    .enabled(if: MemoryGroup.isPossible, "needs a cgroup of its own"))
  func outOfMemory() async throws {
    let group = try MemoryGroup(mebibytes: 300)
    let (lines, status) = try await Scenario("out-of-memory", group.path).finish()
    #expect(lines == ["out-of-memory passed"])
    #expect(status == 0)
  }

  @Test(
    "when the application is killed, everything it started dies with it",
    arguments: ["starting", "idle", "busy", "draining", "child", "nested"])
  func killed(_ phase: String) async throws {
    let names = sharedMemoryNames()
    let scenario = try Scenario("hold", phase)
    let listed = try await scenario.readLine().split(separator: " ").compactMap { pid_t($0) }
    if phase == "starting" {
      // In the middle of it: some have come to life, and more are on their way.
      try await until { try scenario.survivors().count > 8 }
    } else {
      #expect(listed.count >= 4)
      #expect(listed.allSatisfy(isAlive))
    }
    scenario.kill()
    let clock = ContinuousClock()
    let start = clock.now
    var alive: [pid_t] = []
    repeat {
      try await Task.sleep(for: .milliseconds(5))
      alive = try scenario.survivors() + listed.filter(isAlive)
    } while !alive.isEmpty && clock.now - start < .seconds(1)
    #expect(alive.isEmpty)
    #expect(sharedMemoryNames().subtracting(names).isEmpty)
  }

  @Test("time during which the application is stopped counts for no deadline")
  func stopped() async throws {
    let scenario = try Scenario("stopped")
    #expect(try await scenario.readLine() == "running")
    scenario.send(SIGSTOP)
    try await Task.sleep(for: .seconds(4))
    scenario.send(SIGCONT)
    let (lines, status) = try await scenario.finish()
    #expect(lines.last == "stopped passed", "\(lines)")
    #expect(status == 0)
  }

  @Test("in a storm of kills every task ends exactly once", arguments: startMethods)
  func storm(_ method: StartMethod) async throws {
    let tasks = method == .spawn ? "3000" : "10000"
    let (lines, status) = try await Scenario("storm", tasks, "50", method.rawValue).finish()
    #expect(lines.last == "storm passed", "\(lines)")
    #expect(status == 0)
  }

  @Test("a child inherits what the application has when it starts the child")
  func inherits() async throws {
    try await withTemporaryDirectory { directory in
      let path = directory + "/output"
      let (lines, status) = try await Scenario("inherits", path).finish()
      #expect(lines == ["inherits passed"])
      #expect(status == 0)
      #expect(
        try String(contentsOfFile: path, encoding: .utf8) == "from forkServer\nfrom spawn\n")
    }
  }

  @Test("a child among a thousand siblings holds only its own descriptors")
  func crowd() async throws {
    let (lines, status) = try await Scenario("crowd", "1000").finish()
    #expect(lines.count == 1 && lines[0].hasPrefix("crowd passed"), "\(lines)")
    #expect(status == 0)
  }

  @Test(
    "an application may handle SIGCHLD, ignore it, or reap every child",
    arguments: ["handler", "ignore", "loop"])
  func reaps(_ way: String) async throws {
    let (lines, status) = try await Scenario("reaps", way).finish()
    #expect(lines == ["reaps passed"])
    #expect(status == 0)
  }

  @Test("a child that outlives its parent goes on, and can wait for the parent's end")
  func outlives() async throws {
    let scenario = try Scenario("outlives")
    let listed = try await scenario.readLine().split(separator: " ").compactMap { pid_t($0) }
    #expect(listed.count == 3)
    #expect(listed.allSatisfy(isAlive))
    scenario.kill()
    let (lines, _) = try await scenario.finish()
    #expect(
      lines.sorted() == ["fork", "forkServer", "spawn"].map { "\($0): the parent has ended" })
    try await until { try scenario.survivors().isEmpty }
  }

  @Test("a fork of a busy application gives a result or an error, never a hang")
  func forkHammer() async throws {
    let (lines, status) = try await Scenario("fork-hammer", "300").finish()
    #expect(lines.last == "fork-hammer passed", "\(lines)")
    #expect(status == 0)
  }
}
