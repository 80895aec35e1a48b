// The steps of a life. Each runs by itself, so that one that fails does not keep the others from being tried.

import Glibc
import Multiprocessing

private let mebibyte = 1 << 20

/// Every way through a pool.
enum PoolSteps {
  static func run(_ method: StartMethod, isGraceful: Bool) async throws {
    let pool = try ProcessPool(workers: 2, configuration: .init { $0.startMethod = method })
    await Lifecycle.step { try await single(pool) }
    await Lifecycle.step { try await many(pool) }
    await Lifecycle.step { try await large(pool) }
    await Lifecycle.step { try await shared(pool) }
    await Lifecycle.step { try await crash(pool) }
    if isGraceful { await pool.drain() } else { await pool.shutdown() }
    let ledger = pool.statistics
    require(
      ledger.pending == 0
        && ledger.submitted == ledger.succeeded + ledger.failed + ledger.cancelled + ledger.crashed,
      "lifecycle defect: \(ledger)")
  }

  private static func single(_ pool: ProcessPool) async throws {
    let ran = try await pool.run(20) { $0 + 1 }
    require(ran == 21, "lifecycle defect: run returns \(ran)")
    let task = pool.submit(20, "2") { (number: Int, text: String) in "\(number)\(text)" }
    let text = try await task.value
    require(text == "202", "lifecycle defect: submit returns \(text)")
  }

  private static func many(_ pool: ProcessPool) async throws {
    let squares = try await pool.map(0..<200) { $0 * $0 }
    require(squares == (0..<200).map { $0 * $0 }, "lifecycle defect: map returns \(squares)")
  }

  /// Through the arenas, in both directions.
  private static func large(_ pool: ProcessPool) async throws {
    let bytes = try await pool.run([UInt8](repeating: 7, count: mebibyte)) { $0 + [8] }
    require(
      bytes.count == mebibyte + 1 && bytes.last == 8 && bytes.dropLast().allSatisfy { $0 == 7 },
      "lifecycle defect: \(bytes.count) bytes")
  }

  private static func shared(_ pool: ProcessPool) async throws {
    let array = try SharedArray([1, 2, 3])
    let sum = try await pool.run(array) { (array: SharedArray<Int>) -> Int in
      array[2] = 40
      return array[0] + array[1]
    }
    require(
      sum == 3 && array[2] == 40, "lifecycle defect: shared memory holds \(sum) and \(array[2])")
  }

  /// A worker ends, and its successor works.
  private static func crash(_ pool: ProcessPool) async throws {
    do {
      try await pool.run(3) { (status: Int32) -> Void in exit(status) }
      fail("lifecycle defect: a body that exits has a result")
    } catch ProcessError.crashed(let report) where report.exitStatus == .exited(3) {
    }
    try await pool.warmUp()
    let indices = try await pool.broadcast { CurrentProcess.workerIndex ?? -1 }
    require(indices == [0, 1], "lifecycle defect: broadcast returns \(indices)")
  }
}

/// Processes of their own.
enum ChildSteps {
  static func run(_ method: StartMethod) async throws {
    await Lifecycle.step {
      let child = try ChildProcess(
        20, options: ProcessOptions(startMethod: method, standardOutput: .capture)
      ) { (number: Int) async -> Int in
        writeLine("text")
        return number + 1
      }
      let value = try await child.value
      require(value == 21, "lifecycle defect: a child returns \(value)")
      // Without the result, what came of the output before the child's end says nothing.
      let text = try await child.standardOutput.text
      require(text == "text\n", "lifecycle defect: a child prints \(text)")
      _ = await child.exitStatus
    }
    // Neither fits into a message.
    let bytes = [UInt8](repeating: 7, count: mebibyte)
    let options = ProcessOptions(startMethod: method)
    let large = try await ChildProcess(bytes, options: options) { $0 + [8] }.value
    require(large.count == mebibyte + 1, "lifecycle defect: \(large.count) bytes")
  }
}

/// Copies of this process.
enum ForkedSteps {
  static func run() async {
    let captured = [UInt8](repeating: 7, count: mebibyte)
    await Lifecycle.step {
      let child = try ChildProcess.forking(
        options: ProcessOptions(startMethod: .fork, standardOutput: .capture)
      ) {
        writeLine("text")
        return captured + [8]
      }
      let value = try await child.value
      require(value.count == mebibyte + 1, "lifecycle defect: \(value.count) bytes")
      let text = try await child.standardOutput.text
      require(text == "text\n", "lifecycle defect: a copy prints \(text)")
      _ = await child.exitStatus
    }
    await Lifecycle.step {
      do {
        try await ChildProcess.forking { () -> Void in exit(Int32(captured.count >> 20) + 2) }.value
        fail("lifecycle defect: a body that exits has a result")
      } catch ProcessError.crashed(let report) where report.exitStatus == .exited(3) {
      }
    }
  }
}
