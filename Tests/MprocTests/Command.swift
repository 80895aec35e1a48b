// Runs of the command mproc, which lies beside the tests.

import Foundation
import Glibc
import Testing

/// The command's executable.
func mprocPath() throws -> String {
  let test = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
  return URL(fileURLWithPath: test).deletingLastPathComponent().appendingPathComponent("mproc").path
}

/// What a run left behind.
struct Outcome: Sendable {
  /// The exit status; for one that a signal ended 128 and the signal, as shells count.
  var status: Int32
  var output: String
  var errors: String

  var lines: [String] {
    output.split(separator: "\n").map(String.init)
  }
}

/// One run of a command, from its start on.
final class Run {
  let process = Process()
  private let output = Pipe()
  private let errors = Pipe()

  /// - Parameter environment: What is set beside the tests' own.
  init(_ command: [String], environment: [String: String] = [:], input: FileHandle = .nullDevice)
    throws
  {
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = command
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardOutput = output
    process.standardError = errors
    process.standardInput = input
    // Threads of Dispatch, where tests run, block signals, and a process starts with the mask of the thread
    // that starts it.
    var (none, mask) = (sigset_t(), sigset_t())
    unsafe sigemptyset(&none)
    unsafe pthread_sigmask(SIG_SETMASK, &none, &mask)
    defer { unsafe pthread_sigmask(SIG_SETMASK, &mask, nil) }
    try process.run()
  }

  deinit {
    if process.isRunning { Glibc.kill(process.processIdentifier, SIGKILL) }
  }

  /// The next line of its output, without its end; nil at the end of the output.
  func line() throws -> String? {
    var bytes = Data()
    while let next = try output.fileHandleForReading.read(upToCount: 1), !next.isEmpty {
      if next == Data("\n".utf8) { return String(decoding: bytes, as: UTF8.self) }
      bytes += next
    }
    return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
  }

  /// Waits for its end. Standard error must fit into a pipe.
  func finish() throws -> Outcome {
    let text = try output.fileHandleForReading.readToEnd() ?? Data()
    let complaints = try errors.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    let base: Int32 = process.terminationReason == .uncaughtSignal ? 128 : 0
    return Outcome(
      status: base + process.terminationStatus, output: String(decoding: text, as: UTF8.self),
      errors: String(decoding: complaints, as: UTF8.self))
  }
}

/// Runs `mproc` with these arguments to its end.
func mproc(_ arguments: String..., environment: [String: String] = [:]) throws -> Outcome {
  try Run([mprocPath()] + arguments, environment: environment).finish()
}
