// The fork server can be killed or stopped at any moment: starts work or fail with an error, running children go
// on, and their ends are seen. What happens at each single point of a start is checked in CSources/corecheck.

import Foundation
import Glibc
import Multiprocessing
import Testing

/// Options whose environment, and so whose fork server, no other test has.
private struct OwnServer {
  private let mark = UUID().uuidString

  var options: ProcessOptions {
    ProcessOptions(.forkServer) { $0.environment = ["MPROC_TEST_SERVER": mark] }
  }

  /// The living servers.
  func processes() throws -> [pid_t] { try forkServers(with: "MPROC_TEST_SERVER=" + mark) }

  func process() throws -> pid_t {
    let processes = try processes()
    #expect(processes.count == 1)
    return try #require(processes.first)
  }
}

@Suite(
  "The fork server", .serialized, .timeLimit(.minutes(2)), .enabled(if: hasForkServer, noForkServer)
)
struct ForkServerTests {
  /// Whether the kernel tells how a process ended that another has reaped.
  private static let hasExitInfo: Bool = {
    let version = ProcessInfo.processInfo.operatingSystemVersion
    return (version.majorVersion, version.minorVersion) >= (6, 15)
  }()

  private func expectEnd(
    _ status: Multiprocessing.ExitStatus, _ expected: Multiprocessing.ExitStatus,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(
      status == expected || status == .unknown && !Self.hasExitInfo, sourceLocation: sourceLocation)
  }

  @Test("equal environments share a server, and others have their own")
  func sharing() async throws {
    let own = OwnServer()
    for _ in 0..<3 {
      #expect(try await ChildProcess(1, options: own.options) { $0 + 1 }.value == 2)
    }
    let server = try own.process()
    let parents = try await ChildProcess(options: own.options) { getppid() }.value
    #expect(parents == server)
    let other = OwnServer()
    #expect(try await ChildProcess(options: other.options) { getppid() }.value != server)
  }

  @Test("children outlive a killed server, their ends are seen, and the next start works")
  func killed() async throws {
    let own = OwnServer()
    let flags = try SharedFlags(count: 1)
    let children = try (0..<4).map { number in
      try ChildProcess(Int32(number), flags, options: own.options) { number, flags -> Int32 in
        while flags[0] == 0 { usleep(1_000) }
        if number == 1 { exit(5) }
        if number == 2 { kill(getpid(), SIGUSR1) }
        return number
      }
    }
    let server = try own.process()
    Glibc.kill(server, SIGKILL)
    try await until { !isAlive(server) }
    for child in children { #expect(child.isRunning) }
    let next = try ChildProcess(20, options: own.options) { $0 + 1 }
    #expect(try await next.value == 21)
    #expect(try own.process() != server)
    children[3].kill()
    expectEnd(await children[3].exitStatus, .signaled(.kill, coreDumped: false))
    flags[0] = 1
    #expect(try await children[0].value == 0)
    expectEnd(await children[0].exitStatus, .exited(0))
    expectEnd(await children[1].exitStatus, .exited(5))
    expectEnd(await children[2].exitStatus, .signaled(.user1, coreDumped: false))
  }

  @Test("what an orphan started in its group ends with it")
  func orphanGroup() async throws {
    let own = OwnServer()
    let flags = try SharedFlags(count: 3)
    let child = try ChildProcess(flags, options: own.options) { flags -> Void in
      flags[1] = try sleepingProcess()
      flags[0] = 1
      while flags[2] == 0 { usleep(1_000) }
    }
    try await until { flags[0] == 1 }
    #expect(isAlive(flags[1]))
    let server = try own.process()
    Glibc.kill(server, SIGKILL)
    try await until { !isAlive(server) }
    flags[2] = 1
    expectEnd(await child.exitStatus, .exited(0))
    try await until { !isAlive(flags[1]) }
  }

  @Test("a server that is stopped is replaced, and nothing is started twice")
  func stopped() async throws {
    let own = OwnServer()
    let flags = try SharedFlags(count: 1)
    let first = try ChildProcess(flags, options: own.options) { flags -> Int in
      while flags[0] == 0 { usleep(1_000) }
      return 1
    }
    let server = try own.process()
    Glibc.kill(server, SIGSTOP)
    try await withTemporaryDirectory { directory in
      let path = directory + "/log"
      let second = try ChildProcess(path, options: own.options) { path -> Int in
        append("x", to: path)
        return 2
      }
      #expect(try await second.value == 2)
      expectEnd(await second.exitStatus, .exited(0))
      #expect(try String(contentsOfFile: path, encoding: .utf8) == "x")
    }
    #expect(!isAlive(server))
    #expect(first.isRunning)
    flags[0] = 1
    #expect(try await first.value == 1)
    expectEnd(await first.exitStatus, .exited(0))
  }

  @Test("a server that is killed again and again gives results or errors, never a hang")
  func storm() async throws {
    let own = OwnServer()
    let isDone = try SharedFlags(count: 1)
    let killer = Task.detached {
      var kills = 0
      while isDone[0] == 0 {
        for server in try own.processes() {
          Glibc.kill(server, SIGKILL)
          kills += 1
        }
        try await Task.sleep(for: .microseconds(Int.random(in: 0...3_000)))
      }
      return kills
    }
    var results = 0
    for number in 0..<200 {
      do {
        let child = try ChildProcess(number, options: own.options) { $0 * 2 }
        #expect(try await child.value == number * 2)
        expectEnd(await child.exitStatus, .exited(0))
        results += 1
      } catch ProcessError.startFailed(.brokenPipe, _) {
        // Killed three times during one start.
      }
    }
    isDone[0] = 1
    #expect(try await killer.value > 0)
    #expect(results > 100)
  }

  @Test("a child of a killed server ends with the application's signals as any other")
  func signalsAfterDeath() async throws {
    let own = OwnServer()
    let flags = try SharedFlags(count: 1)
    let child = try ChildProcess(flags, options: own.options) { flags -> String in
      flags[0] = 1
      while !Task.isCancelled { usleep(1_000) }
      return "cancelled"
    }
    try await until { flags[0] == 1 }
    Glibc.kill(try own.process(), SIGKILL)
    child.cancel()
    #expect(try await child.value == "cancelled")
    let other = try ChildProcess(flags, options: own.options) { flags -> Void in
      flags[0] = 2
      while true { pause() }
    }
    try await until { flags[0] == 2 }
    Glibc.kill(try own.process(), SIGKILL)
    other.terminate()
    expectEnd(await other.exitStatus, .signaled(.terminate, coreDumped: false))
  }

  @Test("an application that changes its environment often does not gather servers")
  func surplus() async throws {
    let mark = UUID().uuidString
    for number in 0..<12 {
      let options = ProcessOptions(.forkServer) {
        $0.environment = ["MPROC_TEST_SURPLUS": mark, "NUMBER": "\(number)"]
      }
      let child = try ChildProcess(number, options: options) { $0 + 1 }
      #expect(try await child.value == number + 1)
      _ = await child.exitStatus
    }
    // Other tests' servers count too: there may be fewer of these.
    try await until { try forkServers(with: "MPROC_TEST_SURPLUS=" + mark).count <= 6 }
  }
}
