// Shared objects where a process is out of something, or two wait for one thing.

import Foundation
import Glibc
import Multiprocessing
import SystemPackage
import Testing

/// Runs the body of a child with eight descriptors left, all of them taken; the text of what it throws.
private func withoutDescriptors(_ body: () throws -> Void) throws -> String {
  var limit = rlimit()
  unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
  limit.rlim_cur = rlim_t(open + 8)
  unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  var taken: [Int32] = []
  while let copy = Optional(dup(0)), copy >= 0 { taken.append(copy) }
  defer { for descriptor in taken { close(descriptor) } }
  do { try body() } catch { return "\(error)" }
  return "nothing was thrown"
}

/// How many memories of large messages the calling process has.
private func messageMemories() throws -> Int {
  try String(contentsOfFile: "/proc/self/maps", encoding: .utf8).split(separator: "\n")
    .count { $0.contains("mproc-message") }
}

/// Decodes what it holds as one kind first, then as the other. Not private: a body takes it.
enum EitherHandle: Codable, Sendable {
  case mutex(SharedMutex<Int32>)
  case semaphore(SharedSemaphore)

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .mutex(let mutex): try container.encode(mutex)
    case .semaphore(let semaphore): try container.encode(semaphore)
    }
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let mutex = try? container.decode(SharedMutex<Int32>.self) {
      self = .mutex(mutex)
    } else {
      self = .semaphore(try container.decode(SharedSemaphore.self))
    }
  }
}

@Suite("Shared objects at their limits", .timeLimit(.minutes(2)))
struct SharingLimitsTests {
  @Test("an element whose descriptors have no room is an error", arguments: startMethods)
  func elements(_ method: StartMethod) async throws {
    let queue = try SharedQueue<SharedArray<Int>>(capacity: 4)
    for number in 1...2 { try await queue.send(SharedArray([number])) }
    let child = try ChildProcess(queue, options: ProcessOptions(method)) {
      (queue: SharedQueue<SharedArray<Int>>) in
      let thrown = try withoutDescriptors { _ = try queue.tryReceive() }
      return (thrown, try queue.tryReceive()?[0] ?? 0)
    }
    let (thrown, next) = try await child.value
    #expect(thrown.contains("Too many open files"), "\(thrown)")
    #expect(next == 2)
  }

  @Test("a message for which there is no memory is an error", arguments: startMethods)
  func messages(_ method: StartMethod) async throws {
    let (here, there) = try Connection<[String], [String]>.pair()
    let child = try ChildProcess(there, options: ProcessOptions(method)) {
      (there: Connection<[String], [String]>) in
      // One that is in memory which there is, and outgrows it.
      try there.send([String](repeating: String(repeating: "x", count: 100), count: 2_000))
      _ = try there.receive()
      let large = [String](repeating: String(repeating: "x", count: 100), count: 40_000)
      let thrown = try withoutDescriptors { try there.send(large) }
      try there.send(large)
      return thrown
    }
    there.close()
    #expect(try await here.receive()?.count == 2_000)
    try await here.send([])
    #expect(try await here.receive()?.count == 40_000)
    let thrown = try await child.value
    #expect(thrown.contains("no shared memory"), "\(thrown)")
  }

  @Test("messages of every size between a small and a large one")
  func sizes() async throws {
    let (here, there) = try Connection<[String], Never>.pair()
    for count in stride(from: 20_000, to: 95_000, by: 1_000) {
      let message = [40_000, 100, count].map { String(repeating: "x", count: $0) }
      try await here.send(message)
      #expect(try await there.receive() == message)
    }
  }

  @Test("who waits for messages takes no descriptor from who waits for those")
  func twoWaits() async throws {
    let (here, there) = try Connection<Int, Int>.pair()
    let (answer, answers) = try Connection<Int, Int>.pair()
    let messages = Task { while try await there.receive() != nil {} }
    let descriptors = Task {
      while let descriptor = try await there.receiveDescriptor() {
        try descriptor.close()
        try await answer.send(1)
      }
    }
    for _ in 0..<1_000 {
      try await here.send(descriptor: FileDescriptor(rawValue: 0))
      #expect(try await answers.receive(within: .seconds(60)) == 1)
    }
    here.close()
    try await messages.value
    try await descriptors.value
  }

  @Test("a limit of the size of files is an error", arguments: startMethods)
  func fileSize(_ method: StartMethod) async throws {
    let limit = ResourceLimit(.fileSize, soft: 1 << 19)
    let options = ProcessOptions(method) { $0.resourceLimits = [limit] }
    let (here, there) = try Connection<[UInt8], [UInt8]>.pair()
    let child = try ChildProcess(there, options: options) {
      (there: Connection<[UInt8], [UInt8]>) -> [String] in
      // A large one can be received all the same.
      var thrown = ["\(try there.receive()?.count ?? 0)"]
      do { try there.send([UInt8](repeating: 1, count: 70_000)) } catch {
        thrown.append("\(error)")
      }
      do { _ = try SharedMemory(byteCount: 1 << 20) } catch { thrown.append("\(error)") }
      return thrown
    }
    try await here.send([UInt8](repeating: 1, count: 3 << 20))
    let thrown = try await child.value
    #expect(thrown.count == 3 && thrown[0] == "\(3 << 20)", "\(thrown)")
    #expect(thrown[1].contains("no shared memory") && thrown[2].contains("File too large"))
  }

  @Test("an end keeps few descriptors of large messages")
  func descriptors() async throws {
    let child = try ChildProcess {
      let (here, there) = try Connection<[UInt8], Int>.pair()
      for _ in 0..<100 { try here.send([UInt8](repeating: 1, count: 66_000)) }
      for _ in 0..<100 { _ = try there.receive() }
      let kept = try messageMemories()
      here.close()
      return (kept, try messageMemories())
    }
    #expect(try await child.value == (4, 0))
  }

  @Test("a limit of any length is one")
  func limits() async throws {
    let (here, there) = try Connection<Int, Int>.pair()
    for limit in [Duration.seconds(Int64.max) * 4, .seconds(Int64.max), .seconds(1)] {
      try await here.send(1)
      #expect(try await there.receive(within: limit) == 1)
    }
    for limit in [Duration.zero, .seconds(Int64.min), .seconds(Int64.min) * 4] {
      await #expect(throws: ProcessError.self) { try await there.receive(within: limit) }
    }
  }

  @Test("a semaphore that others have filled takes nothing back")
  func fullSemaphore() throws {
    let semaphore = try SharedSemaphore(1)
    try semaphore.withPermit { semaphore.signal(Int(Int32.max)) }
    #expect(semaphore.tryWait())
  }

  @Test("a handle that is decoded a second time, after it was let go, is an error")
  func decodedTwice() async throws {
    let child = try ChildProcess(EitherHandle.semaphore(SharedSemaphore(1))) {
      (either: EitherHandle) -> Bool in
      if case .semaphore(let semaphore) = either { semaphore.tryWait() } else { false }
    }
    let error = await #expect(throws: ProcessError.self) { try await child.value }
    guard case .notTransferable = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    // The worker of a pool keeps what it was given.
    try await withPool(workers: 1) { pool in
      let either = EitherHandle.semaphore(try SharedSemaphore(1))
      let isSemaphore = try await pool.run(either) { (either: EitherHandle) -> Bool in
        if case .semaphore(let semaphore) = either { semaphore.tryWait() } else { false }
      }
      #expect(isSemaphore)
    }
  }

  @Test("names have no zeros")
  func names() throws {
    #expect(throws: ProcessError.self) { try SharedMemory(named: "mproc\0test", byteCount: 8) }
    #expect(throws: ProcessError.self) { try SharedMemory.unlink("mproc\0test") }
  }
}
