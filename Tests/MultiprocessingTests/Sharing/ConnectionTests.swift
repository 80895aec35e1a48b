// Connections: messages, their order and size, what travels along, and every end that goes away.

import Foundation
import Glibc
import Multiprocessing
import SystemPackage
import Testing

struct Letter: Codable, Sendable, Equatable {
  var number: Int
  var text: String
}

@Suite("Connections", .timeLimit(.minutes(2)))
struct ConnectionTests {
  private let short = Duration.milliseconds(10)

  @Test("messages go both ways, in order and whole", arguments: startMethods)
  func bothWays(_ method: StartMethod) async throws {
    let (here, there) = try Connection<Letter, Int>.pair()
    let child = try ChildProcess(there, options: ProcessOptions(startMethod: method)) {
      (there: Connection<Int, Letter>) in
      var sum = 0
      while let letter = try there.receive() {
        sum += letter.text.count
        try there.send(letter.number)
      }
      return sum
    }
    there.close()
    for number in 0..<100 {
      let letter = Letter(number: number, text: String(repeating: "é", count: number))
      if number.isMultiple(of: 2) {
        try await here.send(letter)
        #expect(try await here.receive() == number)
      } else {
        try blocking { try here.send(letter) }
        #expect(try blocking { try here.receive() } == number)
      }
    }
    here.close()
    #expect(try await child.value == (0..<100).reduce(0, +))
  }

  @Test("messages of every size arrive as they were", arguments: startMethods)
  func sizes(_ method: StartMethod) async throws {
    let (here, there) = try Connection<[UInt8], [UInt8]>.pair()
    let child = try ChildProcess(there, options: ProcessOptions(startMethod: method)) {
      (there: Connection<[UInt8], [UInt8]>) async throws in
      for try await message in there.messages { try await there.send(message.reversed()) }
    }
    there.close()
    for size in [0, 1, 255, 65_000, 65_536, 65_537, 1 << 20, (1 << 22) + 1] {
      let message = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
      try await here.send(message)
      #expect(try await here.receive() == message.reversed())
    }
    here.close()
    try await child.value
  }

  @Test("large messages both ways at once do not wait for each other")
  func noDeadlock() async throws {
    let (here, there) = try Connection<[UInt8], [UInt8]>.pair()
    let child = try ChildProcess(there) { (there: Connection<[UInt8], [UInt8]>) in
      for _ in 0..<20 { try there.send([UInt8](repeating: 1, count: 1 << 20)) }
      var count = 0
      for _ in 0..<20 { count += try there.receive()?.count ?? 0 }
      return count
    }
    try blocking {
      for _ in 0..<20 { try here.send([UInt8](repeating: 2, count: 1 << 20)) }
    }
    for _ in 0..<20 { #expect(try await here.receive()?.count == 1 << 20) }
    #expect(try await child.value == 20 << 20)
  }

  @Test("send waits for room, and goes on when there is some")
  func backPressure() async throws {
    let (here, there) = try Connection<Int, Never>.pair()
    let sent = try SharedAtomic(0)
    let child = try ChildProcess(here, sent) {
      (here: Connection<Int, Never>, sent: SharedAtomic<Int>) in
      for number in 0..<10_000 {
        try here.send(number)
        sent.add(1)
      }
    }
    here.close()
    var last = -1
    // Nothing more goes out: the sender waits.
    while sent.load() == 0 || sent.load() != last {
      last = sent.load()
      try await Task.sleep(for: .milliseconds(50))
    }
    #expect(last < 10_000)
    var next = 0
    for try await number in there.messages {
      #expect(number == next)
      next += 1
    }
    #expect(next == 10_000)
    try await child.value
  }

  @Test("the end of the stream comes when the last sender is gone", arguments: startMethods)
  func endOfStream(_ method: StartMethod) async throws {
    let (here, there) = try Connection<Int, Int>.pair()
    try await withPool(method, workers: 2) { pool async throws in
      // Two copies of an end: the stream goes on while one of them is there.
      async let slow: Void = pool.run(there) { (there: Connection<Int, Int>) in
        try there.send(1)
        usleep(50_000)
        try there.send(2)
      }
      async let fast: Void = pool.run(there) { (there: Connection<Int, Int>) in try there.send(4) }
      _ = try await (slow, fast)
      there.close()
      var sum = 0
      for try await number in here.messages { sum += number }
      #expect(sum == 7)
      #expect(try blocking { try here.receive() } == nil)
      #expect(throws: ProcessError.self) { try here.send(1) }
    }
  }

  @Test("a sender that is killed ends the stream after what it sent", arguments: startMethods)
  func killed(_ method: StartMethod) async throws {
    let (here, there) = try Connection<Never, Letter>.pair()
    let child = try ChildProcess(there, options: ProcessOptions(startMethod: method)) {
      (there: Connection<Letter, Never>) -> Void in
      for number in 0..<5 { try there.send(Letter(number: number, text: "")) }
      kill(getpid(), SIGKILL)
    }
    there.close()
    var numbers: [Int] = []
    while let letter = try await here.receive(within: .seconds(60)) {
      numbers.append(letter.number)
    }
    #expect(numbers == [0, 1, 2, 3, 4])
    await #expect(throws: ProcessError.self) { try await child.value }
  }

  @Test("an end, memory, a lock and a descriptor travel inside messages", arguments: startMethods)
  func handles(_ method: StartMethod) async throws {
    typealias Inner = Connection<String, Never>
    let (here, there) = try Connection<Inner, SharedArray<Int>>.pair()
    let child = try ChildProcess(there, options: ProcessOptions(startMethod: method)) {
      (there: Connection<SharedArray<Int>, Inner>) async throws in
      guard let inner = try await there.receive() else { return }
      try await inner.send("from afar")
      let numbers = try SharedArray([1, 2, 3])
      try await there.send(numbers)
      guard let file = try await there.receiveDescriptor() else { return }
      try file.writeAll("written".utf8)
      try file.close()
      // The other side has added to what it got.
      while numbers[2] == 3 { usleep(500) }
      try await inner.send("\(numbers[2])")
    }
    there.close()
    let (mine, theirs) = try Connection<Never, String>.pair()
    try await here.send(theirs)
    theirs.close()
    #expect(try await mine.receive() == "from afar")
    let numbers = try #require(try await here.receive())
    #expect(Array(numbers) == [1, 2, 3])
    let ends = try FileDescriptor.pipe()
    try await here.send(descriptor: ends.writeEnd)
    try ends.writeEnd.close()
    var bytes = [UInt8](repeating: 0, count: 16)
    let count = try unsafe bytes.withUnsafeMutableBytes { try unsafe ends.readEnd.read(into: $0) }
    #expect(String(decoding: bytes.prefix(count), as: UTF8.self) == "written")
    try ends.readEnd.close()
    numbers[2] = 42
    #expect(try await mine.receive() == "42")
    #expect(try await mine.receive() == nil)
    try await child.value
  }

  @Test("messages and descriptors keep their order, whichever is asked for first")
  func mixed() async throws {
    let (here, there) = try Connection<Int, Int>.pair()
    let null = unsafe try FileDescriptor.open("/dev/null", .readWrite)
    for number in 0..<3 {
      try await here.send(number)
      try await here.send(descriptor: null)
    }
    try null.close()
    for _ in 0..<3 {
      let descriptor = try #require(try await there.receiveDescriptor())
      try descriptor.close()
    }
    for number in 0..<3 { #expect(try await there.receive() == number) }
    await #expect(throws: ProcessError.self) { try await there.receive(within: short) }
  }

  @Test("limits pass, waits are cancelled, and close ends them")
  func givingUp() async throws {
    let (here, there) = try Connection<Int, Int>.pair()
    #expect(throws: ProcessError.self) { try here.receive(within: short) }
    await #expect(throws: ProcessError.self) { try await here.receive(within: short) }
    let cancelled = Task { try await here.receive() }
    let closed = Task { try await here.receive() }
    try await Task.sleep(for: .milliseconds(30))
    cancelled.cancel()
    await #expect(throws: CancellationError.self) { try await cancelled.value }
    // A wait that was given up has taken nothing.
    let waiting = Task { try await there.receive() }
    try await here.send(5)
    #expect(try await waiting.value == 5)
    here.close()
    let error = await #expect(throws: ProcessError.self) { try await closed.value }
    guard case .closed? = error else { throw UnexpectedError() }
    #expect(throws: ProcessError.self) { try here.send(1) }
    #expect(throws: ProcessError.self) { try here.receive() }
    #expect(try await there.receive() == nil)
    await #expect(throws: ProcessError.self) { try await there.send(1) }
  }

  @Test("many wait at once, with the end of a process among them", arguments: startMethods)
  func manyAtOnce(_ method: StartMethod) async throws {
    let pairs = try (0..<4).map { _ in try Connection<Int, Int>.pair() }
    let children = try pairs.enumerated().map { index, pair in
      let child = try ChildProcess(index, pair.1, options: ProcessOptions(startMethod: method)) {
        (index: Int, there: Connection<Int, Int>) -> Void in
        guard let number = try there.receive() else { return }
        try there.send(number * 10 + index)
      }
      pair.1.close()
      return child
    }
    // One says nothing and ends.
    pairs[3].0.close()
    let events = try await withThrowingTaskGroup(of: String.self) { group in
      for pair in pairs.prefix(3) {
        group.addTask { "\(try await pair.0.receive() ?? -1)" }
      }
      group.addTask { "\(await children[3].exitStatus)" }
      for (index, pair) in pairs.prefix(3).enumerated() { try await pair.0.send(index) }
      return try await group.reduce(into: Set()) { $0.insert($1) }
    }
    #expect(events == ["0", "11", "22", "exited with status 0"])
    for child in children { try await child.value }
  }

  @Test("a grandchild talks to the application", arguments: startMethods)
  func grandchild(_ method: StartMethod) async throws {
    let (here, there) = try Connection<Never, Int>.pair()
    let child = try ChildProcess(
      there, method.rawValue, options: ProcessOptions(startMethod: method)
    ) {
      (there: Connection<Int, Never>, method: String) async throws in
      let options = ProcessOptions(startMethod: StartMethod(rawValue: method) ?? .spawn)
      try await ChildProcess(there, options: options) { (there: Connection<Int, Never>) in
        try there.send(Int(getppid()))
      }.value
    }
    there.close()
    #expect(try await here.receive() != nil)
    #expect(try await here.receive() == nil)
    try await child.value
  }
}
