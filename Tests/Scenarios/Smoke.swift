// The smallest proof that processes and pools work in this build: a child, a run, a map, and a crash that costs
// one task.

import Glibc
import Multiprocessing

enum Smoke {
  static func run() async throws {
    for method in startMethods {
      try await child(method)
      try await pool(method)
    }
    print("smoke passed")
  }

  private static func child(_ method: StartMethod) async throws {
    let options = ProcessOptions(startMethod: method)
    let sum = try await ChildProcess(20, 22, options: options) { $0 + $1 }.value
    require(sum == 42, "\(method): 20 + 22 in a child is \(sum)")
    let slept = try await ChildProcess(7, options: options) { (n: Int) async throws -> Int in
      try await Task.sleep(for: .milliseconds(1))
      return n * 6
    }.value
    require(slept == 42, "\(method): an async child returns \(slept)")
    let grouped = try await ChildProcess(4, options: options) { (n: Int) async -> Int in
      await withTaskGroup(of: Int.self) { group in
        for index in 0..<n { group.addTask { index * index } }
        return await group.reduce(0, +)
      }
    }.value
    require(grouped == 14, "\(method): a task group in a child returns \(grouped)")
  }

  private static func pool(_ method: StartMethod) async throws {
    let pool = try ProcessPool(workers: 2, configuration: .init { $0.startMethod = method })
    let one = try await pool.run(41) { $0 + 1 }
    require(one == 42, "\(method): run returns \(one)")
    let squares = try await pool.map(0..<1_000) { $0 * $0 }
    require(squares == (0..<1_000).map { $0 * $0 }, "\(method): map returns wrong squares")
    do {
      _ = try await pool.run(3) { (status: Int32) -> Int in exit(status) }
      fail("\(method): a body that exits has a result")
    } catch ProcessError.crashed(let report) {
      require(report.exitStatus == .exited(3), "\(method): the crash is \(report)")
    }
    let texts = try await pool.map(["a", "b"]) { (text: String) async -> String in text + "!" }
    require(texts == ["a!", "b!"], "\(method): after the crash map returns \(texts)")
    let statistics = pool.statistics
    require(
      statistics.succeeded == 1_003 && statistics.crashed == 1 && statistics.pending == 0,
      "\(method): \(statistics)")
    await pool.drain()
  }
}
