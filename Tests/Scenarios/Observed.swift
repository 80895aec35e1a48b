// What others look at while an application runs: its progress on standard error, the file of its timeline.

import Glibc
import Multiprocessing

enum Observed {
  private struct Odd: Error, Codable {}

  /// Two maps at once, and one that fails, with bars.
  static func showProgress() async throws {
    let pool = try ProcessPool(workers: 2, configuration: .init { $0.progress = .bar })
    async let long = pool.map(0..<150) { (n: Int) -> Int in
      usleep(4_000)
      return n
    }
    async let short = pool.map(0..<100) { (n: Int) -> Int in
      usleep(4_000)
      return n
    }
    let count = try await long.count + short.count
    require(count == 250, "\(count) results")
    do {
      _ = try await pool.map(0..<120) { (n: Int) throws -> Int in
        if n == 50 { throw Odd() }
        return n
      }
      fail("a map whose body throws has results")
    } catch is Odd {}
    await pool.drain()
    print("progress passed")
  }

  /// Works, traced, until it is killed; says so when something has been written.
  static func trace(to path: String) async throws {
    let pool = try ProcessPool(
      workers: 2, configuration: .init { $0.trace = FilePath(path) })
    var hasTold = false
    while true {
      _ = try await pool.map(0..<1_000) { $0 * 2 }
      if !hasTold { print("working") }
      hasTold = true
      fflush(nil)
    }
  }
}
