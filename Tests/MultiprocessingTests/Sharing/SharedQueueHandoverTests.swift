// What an element carries, where a queue's handles go, and when a queue is joined.

import Foundation
import Glibc
import Multiprocessing
import Testing

@Suite("Queues and what they carry", .timeLimit(.minutes(3)))
struct SharedQueueHandoverTests {
  struct Work: Codable, Sendable {
    var values: SharedArray<Int>
    var lock: SharedMutex<Int>
    var answers: SharedQueue<Int>.Sender
  }

  @Test("handles of shared objects travel in elements", arguments: startMethods)
  func handles(_ method: StartMethod) async throws {
    let queue = try SharedQueue<Work>(capacity: 50)
    try await withPool(method, workers: 1) { pool async throws in
      let working = pool.submit(queue.receiver) { (queue: SharedQueue<Work>.Receiver) in
        var count = 0
        while let work = try queue.receive() {
          for index in work.values.indices { work.values[index] += 1 }
          work.lock.withLock { $0 += 1 }
          try work.answers.send(work.values[0])
          count += 1
        }
        return count
      }
      let (values, lock) = (try SharedArray([10, 20]), try SharedMutex(5))
      let answers = try await Self.feed(queue, values, lock)
      // The end of the answers comes with the last element that holds their sender.
      let numbers = try await answers.elements.reduce(into: [Int]()) { $0.append($1) }
      #expect(numbers == Array(11...30))
      #expect(Array(values) == [30, 40])
      #expect(lock.withLockIfAvailable { $0 } == 25)
      #expect(try await working.value == 20)
    }
  }

  /// Sends work, and lets the answers' sender go.
  private static func feed(
    _ queue: SharedQueue<Work>, _ values: SharedArray<Int>, _ lock: SharedMutex<Int>
  ) async throws -> SharedQueue<Int>.Receiver {
    let answers = try SharedQueue<Int>(capacity: 100)
    for _ in 0..<20 {
      try await queue.send(Work(values: values, lock: lock, answers: answers.sender))
    }
    queue.finish()
    return answers.receiver
  }

  @Test("a handle in an element outlives the process that sent it", arguments: startMethods)
  func outlivingSender(_ method: StartMethod) async throws {
    let queue = try SharedQueue<SharedArray<Int>>(capacity: 2)
    let child = try ChildProcess(queue.sender, options: ProcessOptions(method)) {
      (queue: SharedQueue<SharedArray<Int>>.Sender) in
      try queue.send(try SharedArray([3, 4]))
    }
    try await child.value
    let array = try #require(try await queue.receive())
    #expect(Array(array) == [3, 4])
    #expect(queue.count == 0)
  }

  @Test("an element with more descriptors than one carries is refused")
  func tooMany() throws {
    let queue = try SharedQueue<[SharedSemaphore]>(capacity: 2)
    let most = try (0..<253).map { try SharedSemaphore($0) }
    #expect(try queue.trySend(most))
    let error = #expect(throws: ProcessError.self) {
      try queue.trySend(most + [try SharedSemaphore(253)])
    }
    #expect(try transferFailure(of: error).reason.contains("254 descriptors"))
    let arrived = try #require(try queue.tryReceive())
    arrived[9].signal()
    #expect((0..<10).allSatisfy { _ in most[9].tryWait() })
    #expect(!most[9].tryWait())
  }

  @Test("an element that cannot be encoded is refused, and nothing is sent")
  func notEncodable() throws {
    struct Refusing: Codable, Sendable {
      var name = "not plain bytes"
      func encode(to encoder: any Encoder) throws { throw UnexpectedError() }
    }
    let queue = try SharedQueue<[Refusing]>(capacity: 2)
    _ = try transferFailure(
      of: #expect(throws: ProcessError.self) { try queue.trySend([Refusing()]) })
    #expect(queue.count == 0)
    // A handle is no handle outside a transfer.
    #expect(throws: EncodingError.self) { try JSONEncoder().encode(queue) }
  }

  @Test("grandchildren use the same queue", arguments: startMethods)
  func grandchildren(_ method: StartMethod) async throws {
    let queue = try SharedQueue<String>(capacity: 4)
    let child = try ChildProcess(queue, method.rawValue, options: ProcessOptions(method)) {
      (queue: SharedQueue<String>, method: String) async throws in
      try await queue.send("child")
      let options = ProcessOptions(startMethod: StartMethod(rawValue: method) ?? .spawn)
      try await ChildProcess(queue.sender, options: options) {
        (queue: SharedQueue<String>.Sender) in try queue.send("grandchild")
      }.value
    }
    #expect(try await queue.receive() == "child")
    #expect(try await queue.receive() == "grandchild")
    try await child.value
  }

  @Test("a forked copy of this process uses the queue that it captures")
  func forking() async throws {
    let queue = try SharedQueue<Int>(capacity: 1)
    let child = try ChildProcess.forking {
      for number in 0..<10 { try queue.send(number) }
    }
    for number in 0..<10 { #expect(try await queue.receive() == number) }
    try await child.value
  }

  @Test("a preload body and the bodies after it may have the same queue", arguments: startMethods)
  func preload(_ method: StartMethod) async throws {
    let queue = try SharedQueue<Int>(capacity: 8)
    try await withPool(method, workers: 1) {
      $0.preload = WorkerBody(queue) { (queue: SharedQueue<Int>) in _ = try queue.trySend(1) }
    } body: { pool in
      try await pool.run(queue.sender) { (queue: SharedQueue<Int>.Sender) in try queue.send(2) }
    }
    #expect(try queue.tryReceive() == 1)
    #expect(try queue.tryReceive() == 2)
  }

  @Test("items of one record may name the same ends", arguments: startMethods)
  func maps(_ method: StartMethod) async throws {
    let queue = try SharedQueue<Int>(capacity: 1_000)
    try await withPool(method, workers: 2) { pool async throws in
      let sender = queue.sender
      try await pool.forEach((0..<500).map { (sender, $0) }) {
        (sender: SharedQueue<Int>.Sender, number: Int) in try sender.send(number)
      }
    }
    queue.finish()
    let numbers = try await queue.elements.reduce(into: [Int]()) { $0.append($1) }
    #expect(numbers.sorted() == Array(0..<500))
  }

  // MARK: - Done

  @Test("join waits until all is done", arguments: startMethods)
  func join(_ method: StartMethod) async throws {
    let (queue, sum) = (try SharedQueue<Int>(capacity: 4), try SharedAtomic(0))
    try await queue.join()
    try await withPool(method, workers: 2) { pool in
      let consumers = (0..<2).map { _ in
        pool.submit(queue.receiver, sum) {
          (queue: SharedQueue<Int>.Receiver, sum: SharedAtomic<Int>) in
          while let number = try queue.receive() {
            usleep(100)
            sum.add(number)
            queue.markDone()
          }
        }
      }
      for number in 1...100 { try await queue.send(number) }
      try await queue.join()
      #expect(sum.load() == 5_050)
      try blocking { try queue.join(within: .seconds(10)) }
      queue.finish()
      for consumer in consumers { try await consumer.value }
    }
    let open = try SharedQueue<Int>(capacity: 2)
    try await open.send(1)
    #expect(throws: ProcessError.self) { try open.join(within: .milliseconds(5)) }
    await #expect(throws: ProcessError.self) { try await open.join(within: .milliseconds(5)) }
    #expect(try await open.receive() == 1)
    #expect(throws: ProcessError.self) { try open.join(within: .milliseconds(5)) }
    open.markDone()
    try blocking { try open.join() }
  }

  @Test("join does not wait for a consumer that died with an element", arguments: startMethods)
  func joinAfterDeath(_ method: StartMethod) async throws {
    let (queue, taken) = (try SharedQueue<Int>(capacity: 2), try SharedEvent())
    let child = try ChildProcess(queue, taken, options: ProcessOptions(method)) {
      (queue: SharedQueue<Int>, taken: SharedEvent) in
      _ = try queue.receive()
      taken.set()
      while true { sleep(1) }
    }
    try await queue.send(1)
    try await taken.wait()
    #expect(throws: ProcessError.self) { try queue.join(within: .milliseconds(30)) }
    child.kill()
    try await queue.join(within: .seconds(60))
    _ = await child.exitStatus
    // And the queue works on.
    try await queue.send(2)
    #expect(try await queue.receive() == 2)
  }

  @Test("consumers and producers killed at any moment stop nobody else", arguments: startMethods)
  func kills(_ method: StartMethod) async throws {
    let queue = try SharedQueue<[Int]>(capacity: 3)
    let options = ProcessOptions(method)
    for round in 0..<12 {
      let victims = try (0..<2).map { which in
        try ChildProcess(queue, which, options: options) {
          (queue: SharedQueue<[Int]>, which: Int) in
          var number = 0
          while true {
            if which == 0 {
              try queue.send(Array(repeating: number, count: number % 3_000))
            } else {
              _ = try queue.receive()
            }
            number += 1
          }
        }
      }
      usleep(UInt32(2_000 + 700 * round))
      for victim in victims { victim.kill() }
      for victim in victims { _ = await victim.exitStatus }
      while let element = try queue.tryReceive() {
        #expect(element.allSatisfy { $0 % 3_000 == element.count })
      }
      try blocking { try queue.send([round], within: .seconds(1)) }
      #expect(try blocking { try queue.receive(within: .seconds(1)) } == [round])
    }
  }
}
