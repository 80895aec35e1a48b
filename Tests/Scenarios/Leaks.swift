// Shows that pools leave nothing behind, however they end: descriptors, threads, mappings and zombies after many
// pools are those after a few.

import Glibc
import Multiprocessing

enum Leaks {
  private enum End: CaseIterable { case drop, drain, shutdown }

  static func run(pools count: Int) async throws {
    await startPoolThreads()
    // Fork server, reactor, lazy globals and one pool of each end come to life here.
    for number in 0..<3 { try await onePool(number, isSpawned: number == 0) }
    await settle { false }
    let before = Holdings.now()
    for number in 0..<count { try await onePool(number, isSpawned: number % 20 == 19) }
    // A spawned worker of the pool that was dropped last may still be starting, and an idle thread of Dispatch
    // stays for some seconds.
    await settle(patiently: true) { Holdings.now().excess(over: before).isEmpty }
    let excess = Holdings.now().excess(over: before)
    guard excess.isEmpty else { fail("leaks: " + excess.joined(separator: ", ")) }
    print("leaks none")
  }

  private static func onePool(_ number: Int, isSpawned: Bool) async throws {
    let pool = try ProcessPool(
      workers: 2, configuration: .init { $0.startMethod = isSpawned ? .spawn : .forkServer })
    let shared = try SharedArray([number])
    let sum = try await pool.run(shared, 1) { $0[0] + $1 }
    require(sum == number + 1, "pool \(number): \(sum)")
    // Large enough for the arenas.
    let large = try await pool.map([[UInt8](repeating: 1, count: 300_000)]) { $0 + [2] }
    require(large[0].count == 300_001, "pool \(number): \(large[0].count) bytes")
    let child = try ChildProcess(number, options: ProcessOptions(standardOutput: .capture)) {
      print($0)
    }
    let text = try await child.standardOutput.text
    require(text == "\(number)\n", "child \(number): \(text)")
    _ = await child.exitStatus
    switch End.allCases[number % End.allCases.count] {
    case .drop: break
    case .drain: await pool.drain()
    case .shutdown: await pool.shutdown()
    }
  }

  /// Waits for what ends asynchronously: until the condition holds or the counts have stood still for half a
  /// second, for 5 s at most; a patient wait only for the condition, for 20 s at most.
  static func settle(patiently isPatient: Bool = false, _ isDone: () -> Bool) async {
    var last = Holdings.now()
    var unchanged = 0
    for _ in 0..<(isPatient ? 400 : 100) where !isDone() && (isPatient || unchanged < 10) {
      try? await Task.sleep(for: .milliseconds(50))
      let now = Holdings.now()
      unchanged = now == last ? unchanged + 1 : 0
      last = now
    }
  }
}
