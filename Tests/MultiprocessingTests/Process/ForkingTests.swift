// Children that are copies of the calling process.

import Glibc
import Multiprocessing
import Testing

private struct CodableError: Error, Codable, Equatable {
  var code: Int
}

private final class Box {
  var text = "from the parent"
}

@Suite("Forked copies", .serialized, .timeLimit(.minutes(2)))
struct ForkingTests {
  @Test("a forked body has what it captures, and changes only its copy")
  func captures() async throws {
    let box = Box()
    var count = 1
    let child = try ChildProcess.forking {
      count += 1
      box.text += ", changed"
      return "\(count) \(box.text)"
    }
    #expect(try await child.value == "2 from the parent, changed")
    #expect(count == 1)
    #expect(box.text == "from the parent")
  }

  @Test("a forked body's error arrives as itself")
  func error() async throws {
    let code = Int.random(in: 1...1_000)
    let child = try ChildProcess.forking { () -> Int in throw CodableError(code: code) }
    await #expect(throws: CodableError(code: code)) { try await child.value }
  }

  @Test("a large result of a forked body arrives")
  func largeResult() async throws {
    let bytes = (0..<5_000_000).map { UInt8(truncatingIfNeeded: $0) }
    let child = try ChildProcess.forking { bytes + [1] }
    #expect(try await child.value == bytes + [1])
  }

  @Test(
    "a forked child that exits by itself has no result, also with status 0",
    arguments: [0, 3] as [Int32])
  func exits(_ status: Int32) async throws {
    let child = try ChildProcess.forking { () -> Int in exit(status) }
    let report = try crashReport(
      of: await #expect(throws: ProcessError.self) { try await child.value })
    #expect(report.exitStatus == .exited(status))
  }

  @Test("a forked child knows its parent, and its output can be captured")
  func identity() async throws {
    let own = getpid()
    let child = try ChildProcess.forking(
      options: ProcessOptions(name: "copy", standardOutput: .capture)
    ) {
      print(own == CurrentProcess.parentProcessIdentifier, CurrentProcess.name, getpid() == own)
    }
    try await child.value
    #expect(try await child.standardOutput.text == "true copy false\n")
  }
}
