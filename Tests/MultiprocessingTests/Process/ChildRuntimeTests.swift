// What a body finds in its process: the Swift runtime, the main thread, and what it is told of itself.

import Foundation
import Multiprocessing
import Synchronization
import Testing

@MainActor private var mainActorCount = 0

@MainActor private func countOnMainActor(_ n: Int) async -> Int {
  MainActor.assertIsolated()
  await Task.yield()
  mainActorCount += n
  return mainActorCount
}

/// The thread that calls, and its process.
private func threadPath() throws -> String {
  try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/thread-self")
}

private let isInitialising = DispatchSemaphore(value: 0)

/// A second thread can come while the first initialises it.
private let slowGlobal: Int = {
  isInitialising.signal()
  usleep(20_000)
  return 7
}()

@Suite("The runtime in a child process", .serialized, .timeLimit(.minutes(2)))
struct ChildRuntimeTests {
  @Test("a body can await", arguments: startMethods)
  func awaiting(_ method: StartMethod) async throws {
    let child = try ChildProcess(5, options: ProcessOptions(method)) {
      (n: Int) async throws -> Int in
      for _ in 0..<n { try await Task.sleep(for: .milliseconds(1)) }
      return n + 1
    }
    #expect(try await child.value == 6)
  }

  @Test("a body can call the main actor", arguments: startMethods)
  func mainActor(_ method: StartMethod) async throws {
    let child = try ChildProcess(5, options: ProcessOptions(method)) {
      (n: Int) async throws -> Int in
      _ = await countOnMainActor(n)
      return await countOnMainActor(n)
    }
    #expect(try await child.value == 10)
  }

  @Test("a body can run a task group", arguments: startMethods)
  func taskGroup(_ method: StartMethod) async throws {
    let child = try ChildProcess(100, options: ProcessOptions(method)) {
      (n: Int) async throws -> Int in
      await withTaskGroup(of: Int.self) { group in
        for index in 0..<n {
          group.addTask {
            await Task.yield()
            return index
          }
        }
        return await group.reduce(0, +)
      }
    }
    #expect(try await child.value == 4_950)
  }

  @Test("a synchronous body runs on the main thread", arguments: startMethods)
  func mainThread(_ method: StartMethod) async throws {
    let child = try ChildProcess(options: ProcessOptions(method)) { try threadPath() }
    #expect(try await child.value == "\(child.processIdentifier)/task/\(child.processIdentifier)")
  }

  // In a forked copy of a thread that had its number cached, the lock is never released.
  @Test(
    "another thread can wait for a lazy global that the main thread initialises",
    arguments: startMethods)
  func contendedGlobal(_ method: StartMethod) async throws {
    let child = try ChildProcess(options: ProcessOptions(method)) { () -> Int in
      let other = Mutex(0)
      let done = DispatchSemaphore(value: 0)
      Thread {
        isInitialising.wait()
        let value = slowGlobal
        other.withLock { $0 = value }
        done.signal()
      }.start()
      let own = slowGlobal
      done.wait()
      return own + other.withLock { $0 }
    }
    #expect(try await child.value == 14)
  }

  @Test("a child knows its parent, its name and that it is a child", arguments: startMethods)
  func identity(_ method: StartMethod) async throws {
    let child = try ChildProcess(options: ProcessOptions(method) { $0.name = "tester" }) {
      (
        CurrentProcess.parentProcessIdentifier, CurrentProcess.name, CurrentProcess.isWorker,
        CurrentProcess.workerIndex, getpid()
      )
    }
    let (parent, name, isWorker, index, identifier) = try await child.value
    #expect(parent == getpid())
    #expect(name == "tester")
    #expect(child.name == "tester")
    #expect(isWorker)
    #expect(index == nil)
    #expect(identifier == child.processIdentifier)
    #expect(!CurrentProcess.isWorker)
    #expect(CurrentProcess.parentProcessIdentifier == nil)
  }

  @Test("the name is the kernel's too, cut to 15 bytes", arguments: startMethods)
  func kernelName(_ method: StartMethod) async throws {
    let child = try ChildProcess(
      options: ProcessOptions(method) { $0.name = "a-name-of-21-letters!" }
    ) {
      try String(contentsOfFile: "/proc/self/comm", encoding: .utf8)
    }
    #expect(try await child.value == "a-name-of-21-le\n")
  }

  @Test("a child can start children of its own", arguments: startMethods)
  func grandchild(_ method: StartMethod) async throws {
    let child = try ChildProcess(20, method.rawValue, options: ProcessOptions(method)) {
      (n: Int, method: String) async throws -> [Int] in
      let options = ProcessOptions(startMethod: StartMethod(rawValue: method) ?? .fork)
      let inner = try ChildProcess(n, options: options) {
        [$0 + 1, Int(CurrentProcess.parentProcessIdentifier ?? 0)]
      }
      return try await inner.value
    }
    #expect(try await child.value == [21, Int(child.processIdentifier)])
  }
}
