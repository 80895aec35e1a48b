// What holds where a container's profile refuses system calls that the library needs. Tests/Faults/refused runs
// these tests in such a profile and names it in the environment; elsewhere there is nothing to see.

import Foundation
import Glibc
import InMemoryLogging
import Logging
import Multiprocessing
import Testing

/// A copy of this process by a bare fork, which holds all its descriptors and has left its group.
private func forkedSleeper() -> pid_t {
  typealias Fork = @convention(c) () -> pid_t
  guard let symbol = unsafe dlsym(nil, "fork") else { return -1 }
  let process = unsafe unsafeBitCast(symbol, to: Fork.self)()
  if process == 0 {
    setpgid(0, 0)
    while true { pause() }
  }
  return process
}

private let arePidfdsRefused: ConditionTrait = .enabled(
  if: refusedCall?.hasPrefix("pidfd") == true, "pidfds are granted here")

@Suite("Where system calls are refused", .timeLimit(.minutes(2)))
struct RefusedCallTests {
  @Test("without pidfds a child is held by a pipe", arePidfdsRefused)
  func pipes() async throws {
    let flags = try SharedFlags(count: 1)
    let child = try ChildProcess(flags) { flags -> Int32 in
      while flags[0] == 0 { usleep(1_000) }
      exit(3)
    }
    let descriptor = child.exitDescriptor.rawValue
    let target = try FileManager.default.destinationOfSymbolicLink(
      atPath: "/proc/self/fd/\(descriptor)")
    #expect(target.hasPrefix("pipe:"))
    #expect(!isReadable(descriptor))
    flags[0] = 1
    #expect(await child.exitStatus == .exited(3))
    #expect(isReadable(descriptor))
  }

  private func isReadable(_ descriptor: Int32) -> Bool {
    var one = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return unsafe poll(&one, 1, 0) == 1
  }

  @Test(
    "without pidfds processes are spawned in place of being forked by a server", arePidfdsRefused)
  func spawned() async throws {
    let parent = try ChildProcess { getppid() }
    #expect(try await parent.value == getpid())
    let handler = InMemoryLogHandler()
    try await withPool {
      $0.logger = Logger(label: "test") { _ in handler }
    } body: { pool in
      let parents = try await pool.broadcast { getppid() }
      #expect(parents == [getpid(), getpid()])
    }
    let notices = handler.entries.filter { $0.level == .notice }
    #expect(notices.map { "\($0.message)".contains("refuses pidfds") } == [true])
  }

  @Test("without pidfds signals reach a process, its group and a copy", arePidfdsRefused)
  func signals() async throws {
    let single = try ChildProcess { () -> Void in while true { pause() } }
    single.send(.user1)
    #expect(await single.exitStatus == .signaled(.user1, coreDumped: false))
    // Its number may be another process's by now.
    single.send(.kill)
    single.kill()
    let flags = try SharedFlags(count: 1)
    let group = try ChildProcess(flags) { flags -> Void in
      flags[0] = try sleepingProcess()
      while true { pause() }
    }
    try await until { flags[0] != 0 }
    group.terminate()
    #expect(await group.exitStatus == .signaled(.terminate, coreDumped: false))
    try await until { !isAlive(flags[0]) }
    let copy = try ChildProcess.forking { () -> Void in while true { pause() } }
    copy.kill()
    #expect(await copy.exitStatus == .signaled(.kill, coreDumped: false))
  }

  @Test("the end of a child is seen whatever its own children hold open", arguments: startMethods)
  func grandchild(_ method: StartMethod) async throws {
    let flags = try SharedFlags(count: 1)
    let child = try ChildProcess(flags, options: .init(method)) { flags -> Void in
      flags[0] = forkedSleeper()
      exit(4)
    }
    #expect(await child.exitStatus == .exited(4))
    #expect(flags[0] > 0)
    kill(flags[0], SIGKILL)
  }

  @Test(
    "without memfds shared memory lies in files without a name",
    .enabled(if: refusedCall == "memfd_create", "memfds are granted here"))
  func memfds() throws {
    let array = try SharedArray([1, 2, 3])
    let maps = try #require(FileHandle(forReadingAtPath: "/proc/self/maps"))
    let mappings = String(decoding: try maps.readToEnd() ?? Data(), as: UTF8.self)
    #expect(array[2] == 3)  // Until here it is mapped.
    #expect(mappings.contains("/dev/shm/#") && !mappings.contains("/memfd:"))
    let size = 1 << 50
    let error = #expect(throws: ProcessError.self) { try SharedMemory(byteCount: size) }
    guard case .startFailed? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }
}
