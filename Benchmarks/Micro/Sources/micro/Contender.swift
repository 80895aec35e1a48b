// Connection and SharedQueue for the measuring program in Benchmarks/Peers, whose program.hpp says how it asks. In
// each trial the other side is a new process, bound to its CPU from its start; the blocking forms are measured.

import Glibc
import Multiprocessing

enum Contender {
  /// 64 bytes.
  struct Line: Codable, Sendable {
    private var first: Int
    private var second = 0, third = 0, fourth = 0, fifth = 0, sixth = 0, seventh = 0
    private(set) var last: Int

    init(_ number: Int) { (first, last) = (number, number) }
  }

  struct Order {
    let isQueue: Bool
    let kind: String
    let count: Int
    let warm: Int
    let cpu: Int
    let others: [Int]

    /// nil: not an order.
    init?(_ line: String) {
      let words = line.split(separator: " ")
      let numbers = words.dropFirst(2).compactMap { Int($0) }
      guard words.count >= 6, numbers.count == words.count - 2 else { return nil }
      (isQueue, kind) = (words[0] == "queue", String(words[1]))
      (count, warm, cpu, others) = (numbers[0], numbers[1], numbers[2], Array(numbers[3...]))
    }

    var senders: Int { kind == "many8" ? 4 : 1 }

    /// What each sender sends, warming up included.
    var each: Int { (count + warm) / senders }

    var largeBytes: Int { kind == "large1" ? 1 << 20 : 16 << 20 }

    func options(_ number: Int = 0) -> ProcessOptions {
      ProcessOptions(affinity: [others[number % others.count]])
    }

    /// Nanoseconds for each call of `body` that counts, on the CPU that is asked for.
    @inline(__always)
    func time(_ body: (Int) throws -> Void) throws -> Double {
      let (clock, all) = (ContinuousClock(), each * senders)
      return try withCPUAffinity([cpu]) {
        for number in 0..<warm { try body(number) }
        let start = clock.now
        for number in warm..<all { try body(number) }
        return (clock.now - start) / .nanoseconds(all - warm)
      }
    }

    /// Checks what comes in: in its order from one sender, whole from several.
    @inline(__always)
    func timeFlow(_ receive: () throws -> Int?) throws -> Double {
      var sum = 0
      let result = try time { number in
        guard let received = try receive() else { fatalError("the stream has ended") }
        precondition(senders > 1 || received == number)
        sum += received
      }
      precondition(sum == each * (each - 1) / 2 * senders)
      return result
    }
  }

  static func answer() async throws {
    while let line = readLine() {
      if let order = Order(line) {
        print(try await order.isQueue ? queue(order) : connection(order))
      } else {
        print("-")
      }
      fflush(nil)
    }
  }
}
