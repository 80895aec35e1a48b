// Waiting for a child, and ending it.

import CMultiprocessing
import Foundation
import Glibc
import Multiprocessing
import Testing

/// Tells that the body runs, then goes on until its process is ended.
private func runForever(_ flags: SharedFlags) {
  flags[0] = 1
  while true { pause() }
}

@Suite("Control of a child process", .serialized, .timeLimit(.minutes(2)))
struct ChildControlTests {
  @Test("exitStatus(within:) is nil while the child runs", arguments: startMethods)
  func statusWithin(_ method: StartMethod) async throws {
    let flags = try SharedFlags(count: 1)
    let child = try ChildProcess(flags, options: ProcessOptions(method)) { flags -> Void in
      while flags[0] == 0 { usleep(1_000) }
    }
    #expect(await child.exitStatus(within: .zero) == nil)
    let clock = ContinuousClock()
    let start = clock.now
    #expect(await child.exitStatus(within: .milliseconds(30)) == nil)
    #expect(clock.now - start >= .milliseconds(30))
    #expect(child.isRunning)
    flags[0] = 1
    #expect(await child.exitStatus(within: .seconds(60)) == .exited(0))
    #expect(!child.isRunning)
    #expect(await child.exitStatus(within: .zero) == .exited(0))
  }

  @Test("terminate ends a child with SIGTERM", arguments: startMethods)
  func terminate(_ method: StartMethod) async throws {
    let flags = try SharedFlags(count: 1)
    let child = try ChildProcess(flags, options: ProcessOptions(method)) { runForever($0) }
    try await until { flags[0] == 1 }
    child.terminate()
    #expect(await child.exitStatus == .signaled(.terminate, coreDumped: false))
    let report = try crashReport(
      of: await #expect(throws: ProcessError.self) { try await child.value })
    #expect(report.exitStatus == .signaled(.terminate, coreDumped: false))
  }

  @Test("terminate kills a child that ignores SIGTERM, after its grace", arguments: startMethods)
  func terminateStubborn(_ method: StartMethod) async throws {
    let flags = try SharedFlags(count: 1)
    let child = try ChildProcess(flags, options: ProcessOptions(method)) { flags -> Void in
      signal(SIGTERM, SIG_IGN)
      runForever(flags)
    }
    try await until { flags[0] == 1 }
    let clock = ContinuousClock()
    let start = clock.now
    child.terminate(grace: .milliseconds(100))
    #expect(await child.exitStatus == .signaled(.kill, coreDumped: false))
    #expect(clock.now - start >= .milliseconds(100))
  }

  @Test("kill ends a child at once, and what it started in its group", arguments: startMethods)
  func kill(_ method: StartMethod) async throws {
    let flags = try SharedFlags(count: 2)
    let child = try ChildProcess(flags, options: ProcessOptions(method)) { flags -> Void in
      flags[1] = try ChildProcess.forking { while true { pause() } }.processIdentifier
      runForever(flags)
    }
    try await until { flags[0] == 1 }
    #expect(isAlive(flags[1]))
    child.kill()
    #expect(await child.exitStatus == .signaled(.kill, coreDumped: false))
    try await until { !isAlive(flags[1]) }
  }

  @Test("a signal reaches the child", arguments: startMethods)
  func signals(_ method: StartMethod) async throws {
    let flags = try SharedFlags(count: 1)
    let child = try ChildProcess(flags, options: ProcessOptions(method)) { runForever($0) }
    try await until { flags[0] == 1 }
    child.send(.user1)
    #expect(await child.exitStatus == .signaled(.user1, coreDumped: false))
    child.send(.user1)
  }

  @Test("a synchronous body sees its cancellation", arguments: startMethods)
  func cancelSynchronous(_ method: StartMethod) async throws {
    let flags = try SharedFlags(count: 1)
    let child = try ChildProcess(flags, options: ProcessOptions(method)) { flags -> String in
      flags[0] = 1
      while !Task.isCancelled { usleep(1_000) }
      return "cancelled"
    }
    try await until { flags[0] == 1 }
    child.cancel()
    #expect(try await child.value == "cancelled")
    #expect(await child.exitStatus == .exited(0))
  }

  @Test("an asynchronous body is woken by its cancellation", arguments: startMethods)
  func cancelAsynchronous(_ method: StartMethod) async throws {
    let child = try ChildProcess(options: ProcessOptions(method)) { () async throws -> Int in
      try await Task.sleep(for: .seconds(1_000))
      return 1
    }
    child.cancel()
    await #expect(throws: CancellationError.self) { try await child.value }
  }

  @Test("cancelling the task that waits does not cancel the child", arguments: startMethods)
  func cancelWaiting(_ method: StartMethod) async throws {
    let flags = try SharedFlags(count: 1)
    let child = try ChildProcess(flags, options: ProcessOptions(method)) { flags -> Bool in
      while flags[0] == 0 { usleep(1_000) }
      return Task.isCancelled
    }
    let waiting = Task { try await child.value }
    waiting.cancel()
    await #expect(throws: CancellationError.self) { try await waiting.value }
    flags[0] = 1
    #expect(try await child.value == false)
  }

  @Test("the exit descriptor becomes readable when the child has ended", arguments: startMethods)
  func exitDescriptor(_ method: StartMethod) async throws {
    let flags = try SharedFlags(count: 1)
    let child = try ChildProcess(flags, options: ProcessOptions(method)) { flags -> Void in
      while flags[0] == 0 { usleep(1_000) }
    }
    var poller = pollfd(fd: child.exitDescriptor.rawValue, events: Int16(POLLIN), revents: 0)
    #expect(unsafe poll(&poller, 1, 0) == 0)
    flags[0] = 1
    _ = await child.exitStatus
    #expect(unsafe poll(&poller, 1, 0) == 1)
  }

  @Test("a dropped child runs to its end", arguments: startMethods)
  func dropped(_ method: StartMethod) async throws {
    let flags = try SharedFlags(count: 2)
    _ = try ChildProcess(flags, options: ProcessOptions(method)) { flags -> Void in
      while flags[0] == 0 { usleep(1_000) }
      flags[1] = 1
    }
    flags[0] = 1
    try await until { flags[1] == 1 }
  }

  @Test("the exit descriptor works with epoll and with a dispatch source", arguments: startMethods)
  func exitDescriptorElsewhere(_ method: StartMethod) async throws {
    let flags = try SharedFlags(count: 1)
    let child = try ChildProcess(flags, options: ProcessOptions(method)) { flags -> Void in
      while flags[0] == 0 { usleep(1_000) }
    }
    let descriptor = child.exitDescriptor.rawValue
    let epoll = mproc_epoll_create()
    defer { close(epoll) }
    var token: UInt64 = 0
    #expect(mproc_epoll_add(epoll, descriptor, 7) == 0)
    #expect(unsafe mproc_epoll_wait(epoll, &token, 1, 0) == 0)
    let source = DispatchSource.makeReadSource(fileDescriptor: descriptor)
    let (events, continuation) = AsyncStream.makeStream(of: Bool.self)
    source.setEventHandler {
      continuation.yield(child.isRunning)
      source.cancel()
    }
    source.setCancelHandler { continuation.finish() }
    source.activate()
    flags[0] = 1
    var seen: [Bool] = []
    for await isRunning in events { seen.append(isRunning) }
    #expect(seen == [false])
    #expect(unsafe mproc_epoll_wait(epoll, &token, 1, 0) == 1 && token == 7)
    #expect(await child.exitStatus == .exited(0))
  }

  @Test(
    "waiting for the parent's end ends with the waiting task, not before", arguments: startMethods)
  func parentExited(_ method: StartMethod) async throws {
    let child = try ChildProcess(options: ProcessOptions(method)) { () async throws -> [Bool] in
      await withTaskGroup(of: Bool.self) { group in
        group.addTask {
          await CurrentProcess.parentExited()
          return Task.isCancelled
        }
        group.addTask {
          try? await Task.sleep(for: .milliseconds(50))
          return false
        }
        var results: [Bool] = []
        for await result in group {
          results.append(result)
          group.cancelAll()
        }
        return results
      }
    }
    // The sleep ended first, and then the waiting by its cancellation.
    #expect(try await child.value == [false, true])
  }
}
