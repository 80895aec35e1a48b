// ChildProcess in all its forms.

import Multiprocessing

private struct Hidden: Codable, Sendable, Equatable {
  var number: Int
  var text: String
}

func useChildren(_ options: ProcessOptions) async throws {
  try expect(await ChildProcess(20, options: options) { $0 + 1 }.value, 21)
  try expect(
    await ChildProcess("a", 3, options: options) { String(repeating: $0, count: $1) }.value, "aaa")
  try expect(await ChildProcess(7, options: options, body: square).value, 49)
  try expect(await ChildProcess(7, options: options, body: squareLater).value, 49)
  let later = try ChildProcess(6, options: options) { (number: Int) async throws -> Int in
    try await Task.sleep(for: .milliseconds(1))
    return number * 7
  }
  try expect(await later.value, 42)
  let pair = try await ChildProcess(5, options: options) { ($0, "\($0)") }.value
  try expect(pair.0, 5)
  try expect(pair.1, "5")
  let hidden = Hidden(number: 1, text: "one")
  try expect(await ChildProcess([hidden], options: options) { $0 + $0 }.value, [hidden, hidden])
  try await ChildProcess(1, options: options) { _ in }.value
  let scaled = try ChildProcess(Scale(factor: 2, point: Point(x: 1, y: 2)), options: options)
  try expect(await scaled.value, Point(x: 2, y: 4))
  try await useEndings(options)
}

private func useEndings(_ options: ProcessOptions) async throws {
  let thrown = await error {
    try await ChildProcess(1, options: options) { (_: Int) in throw Refusal(reason: "no") }.value
  }
  try expect(thrown as? Refusal, Refusal(reason: "no"))

  var captured = options
  captured.standardOutput = .capture
  let talking = try ChildProcess(options: captured) { print("hello") }
  try expect(await talking.standardOutput.text, "hello\n")
  try expect(await talking.exitStatus, .exited(0))

  let endless = try ChildProcess(options: options) { () async throws in
    try await Task.sleep(for: .seconds(3600))
  }
  endless.kill()
  try expect(await endless.exitStatus, .signaled(.kill, coreDumped: false))

  let count = CommandLine.arguments.count
  let refused = await error { _ = try ChildProcess(1, options: options) { $0 + count } }
  guard case ProcessError.notTransferable? = refused else {
    throw Mismatch(text: "a closure that captures was not refused: \(String(describing: refused))")
  }
}

/// A copy of this process may capture anything.
func useForking() async throws {
  let numbers = [1, 2, 3]
  try expect(await ChildProcess.forking { numbers.reduce(0, +) }.value, 6)
}
