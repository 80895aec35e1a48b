// Waiting for what another process does: by asking again, never by a guess of how long it takes. A condition
// that never holds is ended by the time limit of its suite.

import Foundation
import Glibc
import Multiprocessing
import Testing

/// Returns once the condition holds; throws when the test is cancelled.
func until(_ condition: () throws -> Bool) async throws {
  while try !condition() { try await Task.sleep(for: .milliseconds(1)) }
}

/// Whether the process still runs: a zombie does not.
func isAlive(_ process: pid_t) -> Bool {
  guard let stat = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
    let end = stat.lastIndex(of: ")")
  else { return false }
  return !stat[stat.index(after: end)...].hasPrefix(" Z")
}

/// Starts a program that sleeps, in the group of the calling process.
func sleepingProcess() throws -> pid_t {
  var arguments: [UnsafeMutablePointer<CChar>?] = unsafe [strdup("sleep"), strdup("1000"), nil]
  var process: pid_t = 0
  guard unsafe posix_spawnp(&process, "sleep", nil, nil, &arguments, nil) == 0 else {
    throw UnexpectedError()
  }
  return process
}

/// Appends with one write, which no other process can tear apart.
func append(_ line: String, to path: String) {
  let file = unsafe open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
  _ = unsafe write(file, line, line.utf8.count)
  close(file)
}

/// Flags that a body raises and the test sees, or the other way round.
typealias SharedFlags = SharedArray<Int32>

/// Keeps a worker busy until the second flag is raised, and returns when it is so; then the task's value is 5.
func holdWorker(of pool: ProcessPool, _ flags: SharedFlags) async throws -> Task<Int, any Error> {
  let running = Task {
    try await pool.run(flags) { (flags: SharedFlags) -> Int in
      flags[0] = 1
      while flags[1] == 0 { usleep(500) }
      return 5
    }
  }
  try await until { flags[0] == 1 }
  return running
}

/// A file or folder that is gone with the test.
func withTemporaryDirectory<R>(_ body: (String) async throws -> R) async throws -> R {
  let path = NSTemporaryDirectory() + "mproc-test-" + UUID().uuidString
  try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: path) }
  return try await body(path)
}

/// The value of a line "name: value" in a file of /proc.
func field(_ name: String, of path: String) throws -> String? {
  try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
    .first { $0.hasPrefix(name + ":") }
    .map { $0.dropFirst(name.count + 1).trimmingCharacters(in: .whitespaces) }
}

/// Whether the environment variable is "1".
func isEnabled(_ variable: String) -> Bool {
  ProcessInfo.processInfo.environment[variable] == "1"
}
