// Queues: whoever sends and receives, the application, a worker, a worker's child or a copy of this process.

import Glibc
import Multiprocessing
import Testing

@Suite("Queues between processes", .timeLimit(.minutes(3)))
struct SharedQueueTests {
  private let short = Duration.milliseconds(10)

  // MARK: - Order

  @Test("elements cross in every direction, whoever waits", arguments: startMethods)
  func directions(_ method: StartMethod) async throws {
    let (there, back) = (try SharedQueue<Int>(capacity: 2), try SharedQueue<String>(capacity: 2))
    try await withPool(method, workers: 2) { pool in
      let echo = pool.submit(there.receiver, back.sender) {
        (there: SharedQueue<Int>.Receiver, back: SharedQueue<String>.Sender) in
        while let number = try there.receive() { try back.send("\(number)") }
        back.finish()
      }
      for number in 0..<200 {
        if number.isMultiple(of: 2) {
          try blocking { try there.send(number) }
          #expect(try blocking { try back.receive() } == "\(number)")
        } else {
          try await there.send(number)
          #expect(try await back.receive() == "\(number)")
        }
      }
      there.finish()
      try await echo.value
      #expect(try await back.receive() == nil)
      // One worker waits for another.
      let queue = try SharedQueue<[Int]>(capacity: 1)
      let waiting = pool.submit(queue) { (queue: SharedQueue<[Int]>) in try queue.receive() }
      try await pool.run(queue) { (queue: SharedQueue<[Int]>) in try queue.send([1, 2]) }
      #expect(try await waiting.value == [1, 2])
    }
  }

  struct Parcel: Codable, Equatable, Sendable {
    var producer: Int
    var number: Int
    var text: String
  }

  @Test("each element comes once, each producer's in order", arguments: startMethods)
  func producersAndConsumers(_ method: StartMethod) async throws {
    let queue = try SharedQueue<Parcel>(capacity: 8)
    try await withPool(method, workers: 5) { pool in
      let producers = (0..<2).map { producer in
        pool.submit(queue.sender, producer) {
          (queue: SharedQueue<Parcel>.Sender, producer: Int) in
          for number in 0..<1_000 {
            let text = String(repeating: "x", count: number % 700)
            try queue.send(Parcel(producer: producer, number: number, text: text))
          }
        }
      }
      let consumers = (0..<3).map { _ in
        pool.submit(queue.receiver) { (queue: SharedQueue<Parcel>.Receiver) in
          var received: [[Int]] = [[], []]
          try queue.elements.blocking.forEach { parcel in
            guard parcel.text.utf8.count == parcel.number % 700 else { fatalError("torn") }
            received[parcel.producer].append(parcel.number)
          }
          return received
        }
      }
      for producer in producers { try await producer.value }
      queue.finish()
      var all: [[Int]] = [[], []]
      for consumer in consumers {
        let received = try await consumer.value
        for producer in 0..<2 {
          #expect(received[producer] == received[producer].sorted())
          all[producer] += received[producer]
        }
      }
      for producer in 0..<2 { #expect(all[producer].sorted() == Array(0..<1_000)) }
    }
  }

  // MARK: - Room

  @Test("a full queue waits for room, an empty one for elements")
  func backPressure() async throws {
    let queue = try SharedQueue<Int>(capacity: 2)
    #expect(try queue.tryReceive() == nil && queue.count == 0)
    #expect(try queue.trySend(1) && queue.trySend(2) && !queue.trySend(3))
    #expect(queue.count == 2)
    #expect(isTimeout { try queue.send(3, within: short) })
    await #expect(throws: ProcessError.self) { try await queue.send(3, within: short) }
    async let sent: Void = queue.send(3)
    #expect(try await queue.receive() == 1)
    try await sent
    #expect(try queue.tryReceive() == 2)
    #expect(try blocking { try queue.receive(within: short) } == 3)
    #expect(isTimeout { _ = try queue.receive(within: short) })
    await #expect(throws: ProcessError.self) { try await queue.receive(within: short) }
    for capacity in [0, -1, 16_777_217] {
      let error = #expect(throws: ProcessError.self) { try SharedQueue<Int>(capacity: capacity) }
      #expect(try configurationProblem(of: error).contains("\(capacity)"))
    }
  }

  private func isTimeout(_ body: () throws -> Void) -> Bool {
    do {
      try body()
      return false
    } catch ProcessError.timedOut(short) {
      return true
    } catch {
      return false
    }
  }

  @Test("waiting can be cancelled, and takes nothing then")
  func cancellation() async throws {
    let queue = try SharedQueue<Int>(capacity: 1)
    let receiving = Task { try await queue.receive() }
    try await Task.sleep(for: .milliseconds(30))
    receiving.cancel()
    await #expect(throws: CancellationError.self) { try await receiving.value }
    try await queue.send(1)
    let sending = Task { try await queue.send(2) }
    try await Task.sleep(for: .milliseconds(30))
    sending.cancel()
    await #expect(throws: CancellationError.self) { try await sending.value }
    #expect(try queue.tryReceive() == 1)
    #expect(try queue.tryReceive() == nil)
  }

  @Test("elements of all sizes arrive whole", arguments: startMethods)
  func sizes(_ method: StartMethod) async throws {
    let (there, back) = (
      try SharedQueue<[UInt8]>(capacity: 3), try SharedQueue<[UInt8]>(capacity: 3)
    )
    try await withPool(method, workers: 1) { pool in
      let echo = pool.submit(there.receiver, back.sender) {
        (there: SharedQueue<[UInt8]>.Receiver, back: SharedQueue<[UInt8]>.Sender) in
        while let bytes = try there.receive() { try back.send(bytes) }
        back.finish()
      }
      let sizes = [0, 1, 15, 4_096, 65_535, 65_536, 1 << 20, (5 << 20) + 3, 64 << 20]
      let feeding = Task {
        for size in sizes { try await there.send(Self.bytes(size)) }
        there.finish()
      }
      for size in sizes { #expect(try await back.receive() == Self.bytes(size)) }
      try await feeding.value
      try await echo.value
      #expect(try await back.receive() == nil)
    }
  }

  private static func bytes(_ count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: count), count: count)
    for index in stride(from: 0, to: count, by: 997) {
      bytes[index] = UInt8(truncatingIfNeeded: index >> 4)
    }
    return bytes
  }

  @Test("elements without bytes are counted like any other")
  func empty() throws {
    struct Nothing: Codable, Sendable {}
    let queue = try SharedQueue<Nothing>(capacity: 3)
    for _ in 0..<3 { #expect(try queue.trySend(Nothing())) }
    #expect(try !queue.trySend(Nothing()))
    for _ in 0..<3 { #expect(try queue.tryReceive() != nil) }
    #expect(try queue.tryReceive() == nil)
  }

  // MARK: - Ends

  @Test("the stream ends when the last sender is gone", arguments: startMethods)
  func lastSender(_ method: StartMethod) async throws {
    try await withPool(method, workers: 2) { pool in
      for isKilled in [false, true] {
        let (sender, receiver) = try ends(capacity: 4)
        let pids = try SharedArray<Int32>(count: 1)
        let task = sendAndWait(pool, consume sender, pids, waits: isKilled)
        #expect(try await receiver.receive() == 1)
        #expect(try await receiver.receive() == 2)
        if isKilled { kill(pids[0], SIGKILL) }
        var rest: [Int] = []
        for try await number in receiver.elements { rest.append(number) }
        #expect(rest == [])
        #expect(try blocking { try receiver.receive() } == nil)
        if isKilled {
          await #expect(throws: ProcessError.self) { try await task.value }
        } else {
          try await task.value
        }
      }
    }
  }

  /// The queue itself, which would be another sender, is gone when this returns.
  private func ends(
    capacity: Int
  ) throws -> (SharedQueue<Int>.Sender, SharedQueue<Int>.Receiver) {
    let queue = try SharedQueue<Int>(capacity: capacity)
    return (queue.sender, queue.receiver)
  }

  private func sendAndWait(
    _ pool: ProcessPool, _ sender: consuming SharedQueue<Int>.Sender, _ pids: SharedArray<Int32>,
    waits: Bool
  ) -> PoolTask<Void> {
    pool.submit(sender, pids, waits) {
      (sender: SharedQueue<Int>.Sender, pids: SharedArray<Int32>, waits: Bool) in
      pids[0] = getpid()
      try sender.send(1)
      try sender.send(2)
      while waits { sleep(1) }
    }
  }

  @Test("a child's end counts until the child has ended", arguments: startMethods)
  func childsEnd(_ method: StartMethod) async throws {
    let (child, receiver) = try startChild(method)
    var numbers: [Int] = []
    for try await number in receiver.elements { numbers.append(number) }
    #expect(numbers == [7, 8])
    try await child.value
  }

  private func startChild(
    _ method: StartMethod
  ) throws -> (ChildProcess<Void>, SharedQueue<Int>.Receiver) {
    let (sender, receiver) = try ends(capacity: 1)
    let child = try ChildProcess(sender, options: ProcessOptions(method)) {
      (sender: SharedQueue<Int>.Sender) in
      try sender.send(7)
      try sender.send(8)
    }
    return (child, receiver)
  }

  @Test("senders that wait are told when the last receiver is gone", arguments: startMethods)
  func lastReceiver(_ method: StartMethod) async throws {
    let (sender, child) = try startIdleReceiver(method)
    try await sender.send(1)
    try await sender.send(2)
    let waiting = Task { try await sender.send(3) }
    child.kill()
    let error = await #expect(throws: ProcessError.self) { try await waiting.value }
    #expect(try isClosed(#require(error)))
    let other = #expect(throws: ProcessError.self) { try sender.trySend(4) }
    #expect(try isClosed(#require(other)))
    _ = await child.exitStatus
  }

  private func startIdleReceiver(
    _ method: StartMethod
  ) throws -> (SharedQueue<Int>.Sender, ChildProcess<Void>) {
    let (sender, receiver) = try ends(capacity: 2)
    let child = try ChildProcess(receiver, options: ProcessOptions(method)) {
      (receiver: SharedQueue<Int>.Receiver) in
      while true { sleep(1) }
    }
    return (sender, child)
  }

  @Test("after finish nothing is sent, and what was sent is received")
  func finish() async throws {
    let queue = try SharedQueue<String>(capacity: 3)
    try await queue.send("a")
    try await queue.send("b")
    queue.sender.finish()
    let error = #expect(throws: ProcessError.self) { try queue.trySend("c") }
    #expect(try isClosed(#require(error)))
    #expect(try await queue.receive() == "a")
    #expect(try queue.elements.blocking.next() == "b")
    #expect(try queue.elements.blocking.next() == nil)
    #expect(try await queue.receive() == nil)
  }
}
