// What workers print, line by line behind their names: this program's two streams are pipes that the test reads.

import Glibc
import Multiprocessing

enum Forwarding {
  static let lineCount = 200
  /// Longer than a pipe holds.
  static let longLine = 300_000

  static func run(_ method: StartMethod) async throws {
    let configuration = ProcessPool.Configuration {
      $0.startMethod = method
      $0.forwardsOutput = true
      $0.processOptions.name = "job"
    }
    let pool = try ProcessPool(workers: 2, configuration: configuration)
    try await pool.forEach(0..<lineCount) { (number: Int) in
      // In pieces, so that two workers' would mix.
      for piece in ["line ", "\(number)", "\n"] { say(piece, to: STDOUT_FILENO) }
      for piece in ["error ", "\(number)", "\n"] { say(piece, to: STDERR_FILENO) }
    }
    try await pool.run {
      say(String(repeating: "y", count: longLine) + "\n\n", to: STDOUT_FILENO)
      print("printed")
    }
    // Half a line, and then its process is gone.
    do {
      try await pool.run { () -> Void in
        say("the last words", to: STDOUT_FILENO)
        kill(getpid(), SIGKILL)
      }
    } catch ProcessError.crashed {}
    // The worker lives on, and so does its half of a line until the application's exit.
    try await pool.run { say("half a line", to: STDERR_FILENO) }
  }
}

private func say(_ text: String, to descriptor: Int32) {
  var rest = Array(text.utf8)[...]
  while !rest.isEmpty {
    let count = unsafe rest.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
    if count > 0 { rest = rest.dropFirst(count) }
  }
}
