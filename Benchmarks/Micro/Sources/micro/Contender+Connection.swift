import Multiprocessing

extension Contender {
  static func connection(_ order: Order) async throws -> Double {
    switch order.kind {
    case "trip8": return try await connectionTrip(order)
    case "flow8", "many8": return try await connectionFlow(order)
    case "flow64": return try await connectionLines(order)
    default: return try await connectionLarge(order)
    }
  }

  private static func connectionTrip(_ order: Order) async throws -> Double {
    let (here, there) = try Connection<Int, Int>.pair()
    let child = try ChildProcess(there, options: order.options()) { (there: Connection<Int, Int>) in
      while let number = try there.receive() { try there.send(number &+ 1) }
    }
    there.close()
    let result = try order.time { number in
      try here.send(number)
      let answer = try here.receive()
      precondition(answer == number + 1)
    }
    here.close()
    try await child.value
    return result
  }

  private static func connectionFlow(_ order: Order) async throws -> Double {
    let (here, there) = try Connection<Never, Int>.pair()
    let children = try (0..<order.senders).map { number in
      try ChildProcess(there, order.each, options: order.options(number)) {
        (there: Connection<Int, Never>, count: Int) in
        for number in 0..<count { try there.send(number) }
      }
    }
    there.close()
    let result = try order.timeFlow { try here.receive() }
    for child in children { try await child.value }
    return result
  }

  private static func connectionLines(_ order: Order) async throws -> Double {
    let (here, there) = try Connection<Never, Line>.pair()
    let child = try ChildProcess(there, order.each, options: order.options()) {
      (there: Connection<Line, Never>, count: Int) in
      for number in 0..<count { try there.send(Line(number)) }
    }
    there.close()
    let result = try order.timeFlow { try here.receive()?.last }
    try await child.value
    return result
  }

  private static func connectionLarge(_ order: Order) async throws -> Double {
    let (here, there) = try Connection<[UInt8], Int>.pair()
    let child = try ChildProcess(there, options: order.options()) {
      (there: Connection<Int, [UInt8]>) in
      while let bytes = try there.receive() { try there.send(bytes.count) }
    }
    there.close()
    let bytes = [UInt8](repeating: 1, count: order.largeBytes)
    let result = try order.time { _ in
      try here.send(bytes)
      let count = try here.receive()
      precondition(count == bytes.count)
    }
    here.close()
    try await child.value
    return result
  }
}
