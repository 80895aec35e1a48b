// Children that are copies of the calling process.

import Foundation
import Glibc
import Multiprocessing
import Synchronization
import Testing

private struct CodableError: Error, Codable, Equatable {
  var code: Int
}

private final class Box {
  var text = "from the parent"
}

/// Held by a thread of the application at the moment of a fork.
private let heldLock = Mutex(0)

/// Posted by a signal handler.
nonisolated(unsafe) private let posted = {
  let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
  unsafe sem_init(semaphore, 0, 0)
  return unsafe semaphore
}()

@safe
private struct SharedSemaphoreAddress: @unchecked Sendable {
  let address: UnsafeMutablePointer<sem_t>

  init(_ memory: SharedMemory) {
    let address = unsafe memory.withMutableBytes { bytes in
      unsafe bytes.withUnsafeMutableBytes { unsafe $0.bindMemory(to: sem_t.self).baseAddress }
    }
    unsafe self.address = unsafe address!  // The memory is not empty.
  }
}

private func opened(_ path: String) throws -> UnsafeMutablePointer<FILE> {
  guard let file = unsafe fopen(path, "w") else { throw UnexpectedError() }
  return unsafe file
}

@Suite("Forked copies", .serialized, .timeLimit(.minutes(2)))
struct ForkingTests {
  @Test("a forked body has what it captures, and changes only its copy")
  func captures() async throws {
    let box = Box()
    var count = 1
    let child = try ChildProcess.forking {
      count += 1
      box.text += ", changed"
      return "\(count) \(box.text)"
    }
    #expect(try await child.value == "2 from the parent, changed")
    #expect(count == 1)
    #expect(box.text == "from the parent")
  }

  @Test("a forked body's error arrives as itself")
  func error() async throws {
    let code = Int.random(in: 1...1_000)
    let child = try ChildProcess.forking { () -> Int in throw CodableError(code: code) }
    await #expect(throws: CodableError(code: code)) { try await child.value }
  }

  @Test("a large result of a forked body arrives")
  func largeResult() async throws {
    let bytes = (0..<5_000_000).map { UInt8(truncatingIfNeeded: $0) }
    let child = try ChildProcess.forking { bytes + [1] }
    #expect(try await child.value == bytes + [1])
  }

  @Test(
    "a forked child that exits by itself has no result, also with status 0",
    arguments: [0, 3] as [Int32])
  func exits(_ status: Int32) async throws {
    let child = try ChildProcess.forking { () -> Int in exit(status) }
    let report = try crashReport(
      of: await #expect(throws: ProcessError.self) { try await child.value })
    #expect(report.exitStatus == .exited(status))
  }

  @Test("a forked child knows its parent, and its output can be captured")
  func identity() async throws {
    let own = getpid()
    let child = try ChildProcess.forking(
      options: ProcessOptions(name: "copy", standardOutput: .capture)
    ) {
      print(own == CurrentProcess.parentProcessIdentifier, CurrentProcess.name, getpid() == own)
    }
    try await child.value
    #expect(try await child.standardOutput.text == "true copy false\n")
  }

  @Test("a forked body can return a tuple")
  func tuple() async throws {
    let box = Box()
    let child = try ChildProcess.forking { (box.text, 2, [box.text]) }
    let (text, number, texts) = try await child.value
    #expect(text == box.text && number == 2 && texts == [box.text])
  }

  @Test("a forked body has the environment asked for")
  func environment() async throws {
    let options = ProcessOptions(environment: ["ONLY": "this one = é", "EMPTY": ""])
    let child = try ChildProcess.forking(options: options) { () -> [String?] in
      unsafe setenv("NEW", "1", 1)
      return ["ONLY", "EMPTY", "NEW", "PATH"].map { ProcessInfo.processInfo.environment[$0] }
    }
    #expect(try await child.value == ["this one = é", "", "1", nil])
    #expect(ProcessInfo.processInfo.environment["PATH"] != nil)
    let inherited = try ChildProcess.forking { unsafe getenv("PATH") != nil }
    #expect(try await inherited.value)
  }

  @Test("what waits in a stream's buffer is written once")
  func streams() async throws {
    try await withTemporaryDirectory { directory in
      let path = directory + "/file"
      let file = try unsafe opened(path)
      unsafe fputs("of the application, ", file)
      let child = try ChildProcess.forking { () -> Void in
        unsafe fputs("of the copy, ", file)
      }
      try await child.value
      unsafe fputs("and of the application\n", file)
      unsafe fclose(file)
      // The copy shares the file's position.
      let text = try String(contentsOfFile: path, encoding: .utf8)
      #expect(text == "of the copy, of the application, and of the application\n")
    }
  }

  @Test("a copy whose body waits for a lock of another thread says so, and ends")
  func heldByAnotherThread() async throws {
    let held = NSLock()
    let (isHeld, mayRelease) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    Thread {
      held.lock()
      heldLock.withLock { _ in
        isHeld.signal()
        mayRelease.wait()
      }
      held.unlock()
    }.start()
    while isHeld.wait(timeout: .now()) == .timedOut { await Task.yield() }
    let child = try ChildProcess.forking { () -> Int in
      held.lock()
      return 1
    }
    let report = try crashReport(
      of: await #expect(throws: ProcessError.self) { try await child.value })
    #expect(report.message?.contains("lock") == true, "\(report)")
    // The kernel knows that a Mutex's owner is not in this process; Mutex then traps.
    let mutex = try ChildProcess.forking(options: ProcessOptions(standardError: .discard)) {
      heldLock.withLock { $0 }
    }
    await #expect(throws: ProcessError.self) { try await mutex.value }
    // The application's own are untouched.
    mayRelease.signal()
    #expect(heldLock.withLock { $0 } == 0)
  }

  @Test("a copy that needs the threads of a queue, or of tasks, says so, and ends")
  func missingThreads() async throws {
    // Brings both to life in the application.
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<8 { group.addTask { usleep(1_000) } }
    }
    let queue = try ChildProcess.forking {
      let done = DispatchSemaphore(value: 0)
      DispatchQueue.global().async { done.signal() }
      done.wait()
    }
    await #expect(throws: ProcessError.self) { try await queue.value }
    let task = try ChildProcess.forking {
      let done = DispatchSemaphore(value: 0)
      Task { done.signal() }
      done.wait()
    }
    await #expect(throws: ProcessError.self) { try await task.value }
  }

  @Test("threads of a copy may wait for each other, and for signals, as long as they like")
  func patience() async throws {
    let threads = try ChildProcess.forking { () -> Int in
      let done = DispatchSemaphore(value: 0)
      Thread {
        usleep(1_500_000)
        done.signal()
      }.start()
      done.wait()
      return 1
    }
    let flags = try SharedFlags(count: 1)
    let signalled = try ChildProcess.forking { () -> Int in
      signal(SIGUSR1) { _ in unsafe sem_post(posted) }
      flags[0] = 1
      while unsafe sem_wait(posted) != 0 {}
      return 2
    }
    // Shared with other processes: anybody may post it.
    let memory = try SharedMemory(byteCount: MemoryLayout<sem_t>.size)
    let shared = SharedSemaphoreAddress(memory)
    unsafe sem_init(shared.address, 1, 0)
    let posting = try ChildProcess.forking { () -> Int in
      while unsafe sem_wait(shared.address) != 0 {}
      return 3
    }
    try await until { flags[0] == 1 }
    #expect(try await threads.value == 1)
    // They have waited for as long by now.
    signalled.send(.user1)
    unsafe sem_post(shared.address)
    #expect(try await signalled.value == 2)
    #expect(try await posting.value == 3)
  }

  @Test("threads of a copy can contend for locks")
  func contention() async throws {
    for _ in 0..<20 {
      let child = try ChildProcess.forking { () -> Int in
        let group = DispatchGroup()
        for _ in 0..<4 {
          group.enter()
          Thread {
            for _ in 0..<500 { heldLock.withLock { $0 += 1 } }
            group.leave()
          }.start()
        }
        for _ in 0..<500 { heldLock.withLock { $0 += 1 } }
        group.wait()
        return heldLock.withLock { $0 }
      }
      #expect(try await child.value == 2_500)
    }
  }

  @Test("a forked copy cannot start processes, and says so")
  func startsProcesses() async throws {
    let child = try ChildProcess.forking { () -> String in
      do {
        return "\(try ChildProcess(1) { $0 }.processIdentifier)"
      } catch {
        return "\(error)"
      }
    }
    #expect(try await child.value.contains("forking"))
  }

  @Test("a forked copy does not keep a sibling's streams or lifeline open")
  func siblings() async throws {
    let flags = try SharedFlags(count: 1)
    let sibling = try ChildProcess(flags, options: ProcessOptions(standardOutput: .capture)) {
      flags -> Void in
      print("said")
      while flags[0] == 0 { usleep(1_000) }
    }
    let copies = try (0..<4).map { _ in
      try ChildProcess.forking(options: ProcessOptions(standardOutput: .capture)) {
        while flags[0] < 2 { usleep(1_000) }
      }
    }
    flags[0] = 1
    // Ends only when nobody has the other end.
    #expect(try await sibling.standardOutput.text == "said\n")
    flags[0] = 2
    for copy in copies { #expect(try await copy.standardOutput.text.isEmpty) }
  }

  @Test("an option that cannot be met fails the fork, and is named")
  func refusedOption() throws {
    let error = #expect(throws: ProcessError.self) {
      try ChildProcess.forking(options: ProcessOptions(workingDirectory: "/no/such/place")) { 1 }
    }
    guard case .startFailed(.noSuchFileOrDirectory, let operation)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(operation.contains("/no/such/place"))
  }
}
