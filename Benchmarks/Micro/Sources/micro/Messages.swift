// What messages between two processes cost: a connection, beside a pair of pipes that carry bare bytes, and Python's
// Pipe where python3 is installed, in the same run.

import Glibc
import Multiprocessing

enum Messages {
  private static let rounds = 20_000
  private static let flood = 300_000
  private static let largeBytes = 16 << 20

  static func measure() async throws {
    try await measureRoundTrip()
    try await measurePipes()
    try await measureFlood()
    try await measureLarge()
    Python.run(script, measuring: "Python's Pipe")
  }

  private static func measureRoundTrip() async throws {
    let (here, there) = try Connection<Int, Int>.pair()
    let child = try ChildProcess(there) { (there: Connection<Int, Int>) in
      while let number = try there.receive() { try there.send(number &+ 1) }
    }
    there.close()
    try Timing.report("Connection, round trip of an Int, blocking", rounds) { try roundTrips(here) }
    let clock = ContinuousClock()
    let start = clock.now
    for number in 0..<rounds {
      try await here.send(number)
      let answer = try await here.receive()
      precondition(answer == number + 1)
    }
    print("Connection, round trip of an Int, async: \(Timing.each(clock.now - start, rounds)) ns")
    here.close()
    try await child.value
  }

  /// The blocking forms, which an asynchronous function would not get.
  private static func roundTrips(_ here: Connection<Int, Int>) throws {
    for number in 0..<rounds {
      try here.send(number)
      let answer = try here.receive()
      precondition(answer == number + 1)
    }
  }

  private static func receiveAll(_ here: Connection<Never, Int>) throws {
    while try here.receive() != nil {}
  }

  private static func sendLarge(_ here: Connection<[UInt8], Int>, _ bytes: [UInt8]) throws {
    try here.send(bytes)
    let count = try here.receive()
    precondition(count == bytes.count)
  }

  /// The same round trip with nothing but read and write.
  private static func measurePipes() async throws {
    let there = try FileDescriptor.pipe()
    let back = try FileDescriptor.pipe()
    let child = try ChildProcess.forking {
      var number = 0
      while read(there.readEnd.rawValue, &number, 8) == 8, number >= 0 {
        number += 1
        write(back.writeEnd.rawValue, &number, 8)
      }
    }
    Timing.report("two pipes, round trip of 8 bytes", rounds) {
      for number in 0..<rounds {
        var bytes = number
        write(there.writeEnd.rawValue, &bytes, 8)
        let count = read(back.readEnd.rawValue, &bytes, 8)
        precondition(count == 8 && bytes == number + 1)
      }
    }
    var end = -1
    write(there.writeEnd.rawValue, &end, 8)
    try await child.value
    for descriptor in [there.readEnd, there.writeEnd, back.readEnd, back.writeEnd] {
      try descriptor.close()
    }
  }

  private static func measureFlood() async throws {
    let (here, there) = try Connection<Never, Int>.pair()
    let child = try ChildProcess(there, flood) { (there: Connection<Int, Never>, count: Int) in
      for number in 0..<count { try there.send(number) }
    }
    there.close()
    _ = try await here.receive()
    let clock = ContinuousClock()
    let start = clock.now
    try receiveAll(here)
    print("Connection, one way, an Int: \(Timing.each(clock.now - start, flood)) ns a message")
    try await child.value
  }

  private static func measureLarge() async throws {
    let (here, there) = try Connection<[UInt8], Int>.pair()
    let child = try ChildProcess(there) { (there: Connection<Int, [UInt8]>) in
      while let bytes = try there.receive() { try there.send(bytes.count) }
    }
    there.close()
    let bytes = [UInt8](repeating: 1, count: largeBytes)
    let clock = ContinuousClock()
    var best = Duration.seconds(100)
    for _ in 0..<20 {
      let start = clock.now
      try sendLarge(here, bytes)
      best = min(best, clock.now - start)
    }
    here.close()
    try await child.value
    let rate = Double(largeBytes) / (best / .seconds(1)) / 1e9
    print("Connection, [UInt8] of 16 MiB and an answer: \(Double(Int(rate * 100)) / 100) GB/s")
  }

  // MARK: - Python

  private static let script = """
    import time
    from multiprocessing import get_context
    def echo(end, other):
        other.close()
        try:
            while True:
                message = end.recv()
                end.send(message + 1 if isinstance(message, int) else len(message))
        except EOFError: pass
    def flood(end, count):
        for number in range(count): end.send(number)
    def main():
        context = get_context("fork")
        here, there = context.Pipe()
        process = context.Process(target=echo, args=(there, here)); process.start(); there.close()
        for _ in range(2):
            start = time.perf_counter()
            for number in range(20000):
                here.send(number); here.recv()
            trip = (time.perf_counter() - start) / 20000
        message, best = b"x" * (16 << 20), 100
        for _ in range(20):
            start = time.perf_counter()
            here.send(message); here.recv()
            best = min(best, time.perf_counter() - start)
        here.close(); process.join()
        here, there = context.Pipe(False)
        process = context.Process(target=flood, args=(there, 100000)); process.start(); there.close()
        here.recv(); start = time.perf_counter()
        for _ in range(99999): here.recv()
        one = (time.perf_counter() - start) / 99999
        process.join()
        print(f"Python's Pipe: round trip of an int {trip * 1e9:.0f} ns, one way {one * 1e9:.0f} ns a message, "
              f"bytes of 16 MiB and an answer {(16 << 20) / best / 1e9:.2f} GB/s", flush=True)
    main()
    """
}
