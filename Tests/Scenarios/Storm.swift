// Workers, and now and then the fork server, are killed at random while tasks run.

import Glibc
import Multiprocessing
import Synchronization

enum Storm {
  private struct Tally {
    var succeeded = 0
    var crashed = 0
  }

  /// Kills until so many tasks have been done and so many processes have been killed; every task must end exactly
  /// once, with the right result or as crashed, and the ledger must agree.
  static func run(tasks: Int, kills: Int, method: StartMethod) async throws {
    let pool = try ProcessPool(
      workers: 3,
      configuration: .init {
        $0.startMethod = method
        $0.restartLimit = .init(1_000_000, per: .seconds(1))
        $0.chunkSize = .fixed(5)
      })
    let isOver = Atomic<Bool>(false)
    let killed = Atomic<Int>(0)
    let killer = Task.detached {
      var random = SystemRandomNumberGenerator()
      while !isOver.load(ordering: .relaxed) {
        usleep(UInt32.random(in: 200..<4_000, using: &random))
        let victims = pool.workers.map(\.processIdentifier).filter { $0 > 0 }
        let server = Int.random(in: 0..<50, using: &random) == 0 ? forkServer() : nil
        guard let victim = server ?? victims.randomElement(using: &random) else { continue }
        if kill(victim, SIGKILL) == 0 { killed.add(1, ordering: .relaxed) }
      }
    }
    var tally = Tally()
    while tally.succeeded + tally.crashed < tasks || killed.load(ordering: .relaxed) < kills {
      let single = try await singleTasks(pool, 200)
      let streamed = try await streamedTasks(pool, 1_000)
      tally.succeeded += single.succeeded + streamed.succeeded
      tally.crashed += single.crashed + streamed.crashed
    }
    isOver.store(true, ordering: .relaxed)
    await killer.value
    await pool.drain()
    let statistics = pool.statistics
    require(statistics.pending == 0, "\(statistics)")
    require(statistics.succeeded == tally.succeeded, "\(statistics), \(tally)")
    require(statistics.crashed == tally.crashed, "\(statistics), \(tally)")
    require(statistics.submitted == tally.succeeded + tally.crashed, "\(statistics), \(tally)")
    print(
      "\(tally.succeeded) tasks succeeded, \(tally.crashed) crashed,",
      "\(killed.load(ordering: .relaxed)) processes killed, \(statistics.restarts) workers replaced"
    )
    print("storm passed")
  }

  private static func singleTasks(_ pool: ProcessPool, _ count: Int) async throws -> Tally {
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for number in 0..<count {
        group.addTask {
          do {
            let result = try await pool.run(number, "\(number)") {
              work($0) + ($1 == "\($0)" ? 1 : 0)
            }
            require(result == work(number) + 1, "task \(number) has the result \(result)")
            return true
          } catch ProcessError.crashed(let report) {
            require(report.exitStatus != .exited(0), "\(report)")
            return false
          }
        }
      }
      return try await group.reduce(into: Tally()) { tally, succeeded in
        if succeeded { tally.succeeded += 1 } else { tally.crashed += 1 }
      }
    }
  }

  private static func streamedTasks(_ pool: ProcessPool, _ count: Int) async throws -> Tally {
    var tally = Tally()
    var seen = [Bool](repeating: false, count: count)
    for await (index, result) in pool.outcomes(of: 0..<count, body: work) {
      require(!seen[index], "task \(index) ended twice")
      seen[index] = true
      switch result {
      case .success(let value):
        require(value == work(index), "task \(index) has the result \(value)")
        tally.succeeded += 1
      case .failure(ProcessError.crashed(let report)):
        require(report.taskIndex == index, "\(report) for \(index)")
        tally.crashed += 1
      case .failure(let error): throw error
      }
    }
    require(seen.allSatisfy(\.self), "a task has no outcome")
    return tally
  }

  /// The process that forks this one's workers, from its name; it is a child of ours.
  private static func forkServer() -> pid_t? {
    guard let listing = unsafe fopen("/proc/self/task/\(getpid())/children", "r") else {
      return nil
    }
    defer { unsafe fclose(listing) }
    var child: pid_t = 0
    while unsafe withUnsafeMutablePointer(
      to: &child,
      { pointer in
        unsafe withVaList([pointer]) { unsafe vfscanf(listing, "%d", $0) }
      }) == 1
    {
      var name = [CChar](repeating: 0, count: 32)
      guard let file = unsafe fopen("/proc/\(child)/comm", "r") else { continue }
      defer { unsafe fclose(file) }
      let isRead = unsafe fgets(&name, 32, file) != nil
      let bytes = name.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }
      if isRead, String(decoding: bytes, as: UTF8.self).hasPrefix("mproc-server") { return child }
    }
    return nil
  }
}

/// Some 50 us of arithmetic.
@Sendable
private func work(_ seed: Int) -> Int {
  var value = UInt64(truncatingIfNeeded: seed) | 1
  for _ in 0..<20_000 { value = value &* 6_364_136_223_846_793_005 &+ 1 }
  return Int(value >> 40)
}
