// Times of what is done many times.

enum Timing {
  /// Runs `body`, which does something `rounds` times, five times, and prints what one of them took.
  static func report(_ name: String, _ rounds: Int, _ body: () throws -> Void) rethrows {
    let clock = ContinuousClock()
    var times: [Int] = []
    for _ in 0..<5 {
      let start = clock.now
      try body()
      times.append(each(clock.now - start, rounds))
    }
    times.sort()
    print("\(name): median \(times[2]) ns, best \(times[0]) ns")
  }

  /// Nanoseconds for one of so many.
  static func each(_ time: Duration, _ count: Int) -> Int { Int(time / .nanoseconds(count)) }
}
