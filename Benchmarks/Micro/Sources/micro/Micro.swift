// The costs of a pool, each beside a peer that is measured in the same run: a child task, a task group, and
// the round trip of a cache line between two CPUs.
//
//     swift run -c release micro [run] [map] [start] [large] [recovery] [crash] [messages] [queues]
//
// `micro contend` answers the program in Benchmarks/Peers, which measures connections and queues beside their peers.

import Multiprocessing

@main
enum Micro {
  static func main() async throws {
    let asked = Set(CommandLine.arguments.dropFirst())
    if asked == ["contend"] { return try await Contender.answer() }
    func wants(_ name: String) -> Bool { asked.isEmpty || asked.contains(name) }
    print("cache-line round trip: \(nanoseconds(probe())) ns")
    if wants("run") { try await measureRun() }
    if wants("map") { try await measureMap() }
    if wants("large") { try await measureLarge() }
    if wants("start") { try await measureStart() }
    if wants("recovery") { try await Recovery.measure() }
    if wants("crash") { try await measureCrash() }
    if wants("messages") { try await Messages.measure() }
    if wants("queues") { try await Queues.measure() }
    print("cache-line round trip: \(nanoseconds(probe())) ns")
  }

  // MARK: - One task at a time

  private static func measureRun() async throws {
    let pool = try ProcessPool(workers: 1)
    try await pool.warmUp()
    let batch = 1_000
    var runs: [Double] = []
    var tasks: [Double] = []
    var probes: [Double] = []
    for _ in 0..<40 {
      runs.append(
        try await time {
          for n in 0..<batch {
            let result = try await pool.run(n) { $0 &+ 1 }
            precondition(result == n + 1)
          }
        } / Double(batch))
      tasks.append(
        await time {
          for n in 0..<batch {
            let result = await Task { n &+ 1 }.value
            precondition(result == n + 1)
          }
        } / Double(batch))
      probes.append(probe())
    }
    report("pool.run, null task, hot worker", runs, probe: probes)
    report("Task {}.value in this process", tasks, probe: probes)
    await pool.drain()
  }

  // MARK: - Many tasks

  private static func measureMap() async throws {
    let count = 400_000
    let inputs = Array(0..<count)
    let single = try ProcessPool(workers: 1, configuration: .init { $0.chunkSize = .fixed(1) })
    let automatic = try ProcessPool(workers: 2)
    try await single.warmUp()
    try await automatic.warmUp()
    var ones: [Double] = []
    var chunks: [Double] = []
    var groups: [Double] = []
    for _ in 0..<9 {
      ones.append(try await time { _ = try await single.map(inputs) { $0 &+ 1 } } / Double(count))
      chunks.append(
        try await time { _ = try await automatic.map(inputs) { $0 &+ 1 } } / Double(count))
      groups.append(
        await time {
          let sum = await withTaskGroup(of: Int.self) { group in
            for n in inputs { group.addTask { n &+ 1 } }
            return await group.reduce(0, &+)
          }
          precondition(sum > 0)
        } / Double(count))
    }
    rate("map, chunk size 1, 1 worker", ones)
    rate("map, automatic chunks, 2 workers", chunks)
    rate("withTaskGroup in this process", groups)
    await single.drain()
    await automatic.drain()
  }

  private static func measureLarge() async throws {
    let pool = try ProcessPool(workers: 1)
    let bytes = [UInt8](repeating: 7, count: 1 << 20)
    var times: [Double] = []
    for _ in 0..<200 {
      times.append(
        try await time { _ = try await pool.run(bytes) { (b: [UInt8]) -> [UInt8] in b } })
    }
    let median = times.sorted()[times.count / 2]
    let tenths = Int((2 * 1.048576e-3 / median * 10).rounded())
    print("1 MiB argument and result: \(Int(median * 1e6)) us, \(tenths / 10).\(tenths % 10) GB/s")
    await pool.drain()
  }

  // MARK: - Starting

  private static func measureStart() async throws {
    for method in [StartMethod.forkServer, .spawn] {
      var pools: [Double] = []
      var children: [Double] = []
      for _ in 0..<20 {
        var pool: ProcessPool?
        pools.append(
          try await time {
            let new = try ProcessPool(workers: 2, configuration: .init { $0.startMethod = method })
            _ = try await new.run(1) { $0 }
            pool = new
          })
        await pool?.drain()
        children.append(
          try await time {
            _ = try await ChildProcess(1, options: ProcessOptions(startMethod: method)) { $0 }.value
          })
      }
      report("pool of 2 to its first result, \(method.rawValue)", pools)
      report("ChildProcess to its result, \(method.rawValue)", children)
    }
  }

  // MARK: - Crashing

  /// From the call to the error, beside a worker that is killed by its own hand: the kernel's share.
  private static func measureCrash() async throws {
    let pool = try ProcessPool(
      workers: 1, configuration: .init { $0.restartLimit = .init(1_000_000, per: .seconds(1)) })
    for crash in [Crash.trap, .killed] {
      var times: [Double] = []
      var reading: [Double] = []
      for _ in 0..<200 {
        try await pool.warmUp()
        var last: CrashReport?
        times.append(
          try await time {
            do {
              _ = try await pool.run(crash) { $0.perform() }
            } catch ProcessError.crashed(let report) {
              last = report
            }
          })
        await reading.append(time { _ = last?.backtrace })
      }
      report("a body that ends its worker to its error, \(crash.rawValue)", times)
      report("  its backtrace as text, after the first", Array(reading.dropFirst()))
      print("  the first: \(nanoseconds(reading[0])) ns")
    }
    await pool.drain()
  }

  // MARK: - Measuring

  private static func time(_ body: () async throws -> Void) async rethrows -> Double {
    let clock = ContinuousClock()
    let start = clock.now
    try await body()
    return (clock.now - start) / .seconds(1)
  }

  private static func nanoseconds(_ seconds: Double) -> Int { Int(seconds * 1e9) }

  private static func report(_ name: String, _ times: [Double], probe: [Double] = []) {
    let sorted = times.sorted()
    let median = sorted[sorted.count / 2]
    var line = "\(name): median \(nanoseconds(median)) ns, best \(nanoseconds(sorted[0])) ns"
    if !probe.isEmpty {
      let ratios = zip(times, probe).map { $0 / $1 }.sorted()
      line += ", \(Double(Int(ratios[ratios.count / 2] * 100)) / 100) x the cache-line round trip"
    }
    print(line)
  }

  private static func rate(_ name: String, _ times: [Double]) {
    let sorted = times.sorted()
    let median = sorted[sorted.count / 2]
    let (typical, best) = (Double(Int(1e-5 / median)) / 10, Double(Int(1e-5 / sorted[0])) / 10)
    print("\(name): \(typical) M tasks/s (best \(best))")
  }
}
