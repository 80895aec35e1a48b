// What an element of a SharedQueue costs, beside Python's Queue where python3 is installed, in the same run.

import Glibc
import Multiprocessing

enum Queues {
  private static let rounds = 20_000
  private static let flood = 300_000
  private static let largeBytes = 16 << 20

  static func measure() async throws {
    try measureAlone()
    try await measureRoundTrip()
    try await measureFlood(producers: 1)
    try await measureFlood(producers: 4)
    try await measureLarge()
    Python.run(script, measuring: "Python's Queue")
  }

  /// Nobody waits, nobody else is there.
  private static func measureAlone() throws {
    let queue = try SharedQueue<Int>(capacity: 100)
    let text = try SharedQueue<String>(capacity: 100)
    try Timing.report("SharedQueue, send and receive an Int, one process", rounds) {
      for number in 0..<rounds {
        try queue.send(number)
        let received = try queue.receive()
        precondition(received == number)
      }
    }
    let words = String(repeating: "word ", count: 20)
    try Timing.report("SharedQueue, send and receive a String of 100 bytes, one process", rounds) {
      for _ in 0..<rounds {
        try text.send(words)
        let received = try text.receive()
        precondition(received?.utf8.count == 100)
      }
    }
  }

  private static func measureRoundTrip() async throws {
    let (there, back) = (try SharedQueue<Int>(capacity: 8), try SharedQueue<Int>(capacity: 8))
    let child = try ChildProcess(there.receiver, back.sender) {
      (there: SharedQueue<Int>.Receiver, back: SharedQueue<Int>.Sender) in
      while let number = try there.receive() { try back.send(number &+ 1) }
    }
    try Timing.report("SharedQueue, round trip of an Int, blocking", rounds) {
      for number in 0..<rounds {
        try there.send(number)
        let answer = try back.receive()
        precondition(answer == number + 1)
      }
    }
    there.finish()
    try await child.value
  }

  private static func measureFlood(producers: Int) async throws {
    let queue = try SharedQueue<Int>(capacity: 1_000)
    let children = try (0..<producers).map { _ in
      try ChildProcess(queue.sender, flood / producers) {
        (queue: SharedQueue<Int>.Sender, count: Int) in
        for number in 0..<count { try queue.send(number) }
      }
    }
    _ = try await queue.receive()
    let clock = ContinuousClock()
    let start = clock.now
    try receive(flood / producers * producers - 1, from: queue)
    print(
      "SharedQueue, one way, an Int, senders \(producers):"
        + " \(Timing.each(clock.now - start, flood)) ns an element")
    for child in children { try await child.value }
  }

  private static func receive(_ count: Int, from queue: SharedQueue<Int>) throws {
    for _ in 0..<count { _ = try queue.receive() }
  }

  private static func measureLarge() async throws {
    let (there, back) = (try SharedQueue<[UInt8]>(capacity: 2), try SharedQueue<Int>(capacity: 2))
    let child = try ChildProcess(there.receiver, back.sender) {
      (there: SharedQueue<[UInt8]>.Receiver, back: SharedQueue<Int>.Sender) in
      while let bytes = try there.receive() { try back.send(bytes.count) }
    }
    let bytes = [UInt8](repeating: 1, count: largeBytes)
    let clock = ContinuousClock()
    var best = Duration.seconds(100)
    for _ in 0..<20 {
      let start = clock.now
      try exchange(bytes, there, back)
      best = min(best, clock.now - start)
    }
    there.finish()
    try await child.value
    let rate = Double(largeBytes) / (best / .seconds(1)) / 1e9
    print("SharedQueue, [UInt8] of 16 MiB and an answer: \(Double(Int(rate * 100)) / 100) GB/s")
  }

  private static func exchange(
    _ bytes: [UInt8], _ there: SharedQueue<[UInt8]>, _ back: SharedQueue<Int>
  ) throws {
    try there.send(bytes)
    let count = try back.receive()
    precondition(count == bytes.count)
  }

  // MARK: - Python

  private static let script = """
    import time
    from multiprocessing import Process, Queue
    def echo(there, back):
        while (message := there.get()) is not None:
            back.put(message + 1 if isinstance(message, int) else len(message))
    def flood(queue, count):
        for number in range(count): queue.put(number)
    def main():
        there, back = Queue(8), Queue(8)
        process = Process(target=echo, args=(there, back)); process.start()
        for _ in range(2):
            start = time.perf_counter()
            for number in range(5000):
                there.put(number); back.get()
            trip = (time.perf_counter() - start) / 5000
        message, best = b"x" * (16 << 20), 100
        for _ in range(20):
            start = time.perf_counter()
            there.put(message); back.get()
            best = min(best, time.perf_counter() - start)
        there.put(None); process.join()
        queue = Queue(1000)
        process = Process(target=flood, args=(queue, 100000)); process.start()
        queue.get(); start = time.perf_counter()
        for _ in range(99999): queue.get()
        one = (time.perf_counter() - start) / 99999
        process.join()
        print(f"Python's Queue: round trip of an int {trip * 1e9:.0f} ns, one way {one * 1e9:.0f} ns an element, "
              f"bytes of 16 MiB and an answer {(16 << 20) / best / 1e9:.2f} GB/s", flush=True)
    main()
    """
}
