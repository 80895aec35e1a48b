import Multiprocessing

extension Contender {
  private static let capacity = 1024

  static func queue(_ order: Order) async throws -> Double {
    switch order.kind {
    case "trip8": return try await queueTrip(order)
    case "flow8", "many8": return try await queueFlow(order)
    case "flow64": return try await queueLines(order)
    default: return try await queueLarge(order)
    }
  }

  private static func queueTrip(_ order: Order) async throws -> Double {
    let there = try SharedQueue<Int>(capacity: capacity)
    let back = try SharedQueue<Int>(capacity: capacity)
    let child = try ChildProcess(there.receiver, back.sender, options: order.options()) {
      (there: SharedQueue<Int>.Receiver, back: SharedQueue<Int>.Sender) in
      while let number = try there.receive() { try back.send(number &+ 1) }
    }
    let result = try order.time { number in
      try there.send(number)
      let answer = try back.receive()
      precondition(answer == number + 1)
    }
    there.finish()
    try await child.value
    return result
  }

  private static func queueFlow(_ order: Order) async throws -> Double {
    let queue = try SharedQueue<Int>(capacity: capacity)
    let children = try (0..<order.senders).map { number in
      try ChildProcess(queue.sender, order.each, options: order.options(number)) {
        (queue: SharedQueue<Int>.Sender, count: Int) in
        for number in 0..<count { try queue.send(number) }
      }
    }
    let result = try order.timeFlow { try queue.receive() }
    for child in children { try await child.value }
    return result
  }

  private static func queueLines(_ order: Order) async throws -> Double {
    let queue = try SharedQueue<Line>(capacity: capacity)
    let child = try ChildProcess(queue.sender, order.each, options: order.options()) {
      (queue: SharedQueue<Line>.Sender, count: Int) in
      for number in 0..<count { try queue.send(Line(number)) }
    }
    let result = try order.timeFlow { try queue.receive()?.last }
    try await child.value
    return result
  }

  private static func queueLarge(_ order: Order) async throws -> Double {
    let there = try SharedQueue<[UInt8]>(capacity: 2)
    let back = try SharedQueue<Int>(capacity: 2)
    let child = try ChildProcess(there.receiver, back.sender, options: order.options()) {
      (there: SharedQueue<[UInt8]>.Receiver, back: SharedQueue<Int>.Sender) in
      while let bytes = try there.receive() { try back.send(bytes.count) }
    }
    let bytes = [UInt8](repeating: 1, count: order.largeBytes)
    let result = try order.time { _ in
      try there.send(bytes)
      let count = try back.receive()
      precondition(count == bytes.count)
    }
    there.finish()
    try await child.value
    return result
  }
}
