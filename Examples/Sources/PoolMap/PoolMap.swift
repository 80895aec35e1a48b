// A pool of worker processes: many inputs with `map`, one call with `run`, and a body that crashes
// without taking the application with it.

import Multiprocessing

@main
enum PoolMap {
  static func main() async throws {
    // The pool lives as long as the closure; at its end the workers finish and go.
    try await withProcessPool(workers: 2) { pool in
      print("squares: \(try await pool.map(1...10) { $0 * $0 })")

      // Several arguments, of any Codable types.
      print(try await pool.run("swift", 3) { String(repeating: $0, count: $1) })

      // A body may await. One of several statements has its type spelled out.
      let slow = try await pool.run(4) { (number: Int) async throws -> Int in
        try await Task.sleep(for: .milliseconds(10))
        return number * number
      }
      print("slow: \(slow)")

      // Index 7 of three elements: in the application this trap would be the end. Here it ends one
      // worker, which is replaced, and costs the one task that it ran.
      do {
        _ = try await pool.run(7, body: square)
      } catch ProcessError.crashed(let report) {
        print("the crash cost one task: \(report)")
      }
      print("after the crash: \(try await pool.run(2, body: square))")

      let count = pool.statistics
      print(
        "submitted \(count.submitted): \(count.succeeded) succeeded, \(count.crashed) crashed,",
        "\(count.restarts) worker replaced")
    }
  }
}

/// The square of an element; traps when there is none at that index.
func square(ofElementAt index: Int) -> Int {
  let numbers = [1, 3, 5]
  return numbers[index] * numbers[index]
}
