// Shows that crashes leave nothing behind, however many there are and although every report is read.

import Glibc
import Multiprocessing

enum CrashLoop {
  /// Less than a report takes that is kept, and more than the allocator's habits amount to.
  private static let mostBytesPerCrash = 1_500

  static func run(crashes count: Int) async throws {
    await startPoolThreads()
    for method in startMethods {
      let count = method == .spawn ? count / 5 : count
      let pool = try ProcessPool(
        workers: 2,
        configuration: .init {
          $0.processOptions = options(method)
          $0.restartLimit = .init(1_000_000, per: .seconds(1))
        })
      // Whatever is made once, the tables of the allocator too.
      for number in 0..<100 { try await oneCrash(number, pool, method) }
      await Leaks.settle { false }
      let before = (Holdings.now(), privateByteCount)
      for number in 0..<count { try await oneCrash(number, pool, method) }
      try await pool.warmUp()
      await Leaks.settle { Holdings.now().excess(over: before.0).isEmpty }
      let excess = Holdings.now().excess(over: before.0)
      guard excess.isEmpty else { fail("\(method): \(excess.joined(separator: ", "))") }
      let bytes = privateByteCount - before.1
      print("\(method): \(count) crashes, \(bytes) bytes of memory more than before")
      guard bytes < max(count, 500) * mostBytesPerCrash else { fail("\(method): memory grows") }
      await pool.drain()
    }
    print("crashes passed")
  }

  /// RssAnon: what is not a file's.
  private static var privateByteCount: Int {
    let lines = text(of: "/proc/self/status").split(separator: "\n")
    let line = lines.first { $0.hasPrefix("RssAnon:") } ?? ""
    return 1_024 * (Int(line.filter(\.isNumber)) ?? 0)
  }

  private static func options(_ method: StartMethod) -> ProcessOptions {
    ProcessOptions(startMethod: method, standardError: .capture)
  }

  /// Every tenth is a child's.
  private static func oneCrash(
    _ number: Int, _ pool: ProcessPool, _ method: StartMethod
  ) async throws {
    do {
      if number % 10 == 9 {
        let child = try ChildProcess(number, options: options(method)) { (number: Int) -> Int in
          [number][number + 1]
        }
        _ = try await child.value
      } else {
        _ = try await pool.run(number) { (number: Int) -> Int in [number][number + 1] }
      }
      fail("crash \(number) has a result")
    } catch ProcessError.crashed(let report) {
      require(report.backtrace?.contains("closure #") == true, report.backtrace ?? "no backtrace")
      _ = report.message
    }
  }
}
