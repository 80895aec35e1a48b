// The memory that large messages cross in, which is used again.

import Glibc
import Multiprocessing
import Testing

/// The page faults so far of the calling process that needed no disk.
private func pageFaults() -> Int {
  var usage = rusage()
  unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
  return usage.ru_minflt
}

/// A message whose every element says which one it is.
private func message(_ number: Int, _ count: Int = 1 << 17) -> [Int] {
  [Int](repeating: number, count: count)
}

/// Kills every process but its maker when it is decoded. Not private: its type must have a name there.
struct Deadly: Codable, Sendable {
  var numbers: [Int]
  var maker = getpid()

  init(numbers: [Int]) { self.numbers = numbers }

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    numbers = try container.decode([Int].self, forKey: .numbers)
    maker = try container.decode(pid_t.self, forKey: .maker)
    if maker != getpid() { kill(getpid(), SIGKILL) }
  }
}

@Suite("The memory of large messages", .serialized, .timeLimit(.minutes(2)))
struct ConnectionMemoryTests {
  @Test("memory that the receiver is done with is used again", arguments: startMethods)
  func usedAgain(_ method: StartMethod) async throws {
    let (here, there) = try Connection<Int, [Int]>.pair()
    let child = try ChildProcess(there, options: ProcessOptions(method)) {
      (there: Connection<[Int], Int>) in
      // 16 MiB, 4,096 pages; not all of them, should the kernel map several for one fault.
      let message = [Int](repeating: 1, count: 2 << 20)
      var faults: [Int] = []
      for _ in 0..<3 {
        let before = pageFaults()
        try there.send(message)
        faults.append(pageFaults() - before)
        // The receiver is done.
        _ = try there.receive()
      }
      return faults
    }
    there.close()
    for _ in 0..<3 { try await here.send(here.receive()?.count ?? 0) }
    let faults = try await child.value
    #expect(faults[0] > 200 && faults[1] < 100 && faults[2] < 100, "\(faults)")
  }

  @Test("memory that nobody has read is left alone")
  func underWay() async throws {
    let (here, there) = try Connection<[Int], [Int]>.pair()
    for number in 0..<20 { try await here.send(message(number)) }
    for number in 0..<20 { #expect(try await there.receive() == message(number)) }
    // Free now, for smaller and larger ones.
    for (number, count) in [1 << 14, 1 << 18, 1 << 17, 1 << 21].enumerated() {
      try await here.send(message(number, count))
      #expect(try await there.receive() == message(number, count))
    }
  }

  @Test("a receiver that dies with a message costs that message", arguments: startMethods)
  func deaths(_ method: StartMethod) async throws {
    let (here, there) = try Connection<Deadly, Never>.pair()
    for number in 0..<20 {
      // More than the end keeps, if nothing were given up.
      try await here.send(Deadly(numbers: message(number)))
      let child = try ChildProcess(there, options: ProcessOptions(method)) {
        (there: Connection<Never, Deadly>) in _ = try there.receive()
      }
      await #expect(throws: ProcessError.self) { try await child.value }
      try await here.send(Deadly(numbers: message(-number)))
      #expect(try await there.receive()?.numbers == message(-number))
    }
  }

  @Test("a copy of the process and the process never write into the same memory")
  func forkedCopies() async throws {
    for round in 0..<50 {
      let (here, there) = try Connection<[Int], Never>.pair()
      let gate = try SharedAtomic(0)
      // There is one memory, and it is free.
      try await here.send(message(round))
      #expect(try await there.receive() == message(round))
      let copy = try ChildProcess.forking {
        gate.store(1)
        while gate.load() != 2 {}
        try here.send(message(-1))
      }
      while gate.load() != 1 { await Task.yield() }
      gate.store(2)
      try await here.send(message(1))
      let both = try await [there.receive(), there.receive()]
      #expect(both == [message(-1), message(1)] || both == [message(1), message(-1)])
      try await copy.value
    }
  }

  @Test(
    "a message of 3 GiB",
    .enabled(
      if: isEnabled("MPROC_LARGE_TESTS"),
      "needs about 12 GiB of memory; set MPROC_LARGE_TESTS=1 to run it"))
  func threeGiB() async throws {
    let (here, there) = try Connection<[UInt8], Int>.pair()
    let child = try ChildProcess(there) { (there: Connection<Int, [UInt8]>) -> [UInt8] in
      let bytes = try there.receive() ?? []
      try there.send(bytes.count)
      return [bytes[0], bytes[bytes.count / 2], bytes[bytes.count - 1]]
    }
    there.close()
    var bytes = [UInt8](repeating: 3, count: 3 << 30)
    (bytes[0], bytes[bytes.count - 1]) = (1, 2)
    try await here.send(bytes)
    #expect(try await here.receive() == 3 << 30)
    #expect(try await child.value == [1, 3, 2])
  }
}
