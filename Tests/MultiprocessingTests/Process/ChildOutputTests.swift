// What a child writes to its standard streams.

import Foundation
import Multiprocessing
import Testing

@Suite("Captured output", .serialized, .timeLimit(.minutes(2)))
struct ChildOutputTests {
  @Test("lines arrive one by one, the last one without its end too", arguments: startMethods)
  func lines(_ method: StartMethod) async throws {
    let child = try ChildProcess(options: ProcessOptions(method) { $0.standardOutput = .capture }) {
      print("first\n\nthird é")
      print("last", terminator: "")
    }
    var lines: [String] = []
    for try await line in child.standardOutput.lines { lines.append(line) }
    #expect(lines == ["first", "", "third é", "last"])
  }

  @Test("what was printed is complete, also without an end of line", arguments: startMethods)
  func flushed(_ method: StartMethod) async throws {
    let child = try ChildProcess(
      7, options: ProcessOptions(method) { $0.standardOutput = .capture }
    ) { n in
      print("printed", terminator: "")
      return n
    }
    #expect(try await child.value == 7)
    #expect(try await child.standardOutput.text == "printed")
  }

  @Test("what was printed is there before the result is", arguments: startMethods)
  func flushedBeforeResult(_ method: StartMethod) async throws {
    let flags = try SharedFlags(count: 1)
    let child = try ChildProcess(
      flags, options: ProcessOptions(method) { $0.standardOutput = .capture }
    ) { (flags: SharedFlags) async throws -> Int in
      print("printed", terminator: "")
      // Keeps the process, and with it the stream, open after the result.
      atexit { pause() }
      return 1
    }
    #expect(try await child.value == 1)
    var output = child.standardOutput.makeAsyncIterator()
    let bytes = try await output.next(isolation: nil)
    #expect(bytes.map { String(decoding: $0, as: UTF8.self) } == "printed")
    child.kill()
  }

  @Test("a child never waits for the reader of its output", arguments: startMethods)
  func beyondThePipe(_ method: StartMethod) async throws {
    let child = try ChildProcess(options: ProcessOptions(method) { $0.standardOutput = .capture }) {
      for number in 0..<40_000 { print("line \(number)") }
    }
    // Nobody has read yet.
    try await child.value
    let text = try await child.standardOutput.text
    #expect(text.utf8.count > 4 * 65_536)
    #expect(text == (0..<40_000).map { "line \($0)\n" }.joined())
  }

  @Test("standard error is captured apart", arguments: startMethods)
  func standardError(_ method: StartMethod) async throws {
    let options = ProcessOptions(method) {
      $0.standardOutput = .capture
      $0.standardError = .capture
    }
    let child = try ChildProcess(options: options) {
      print("out")
      FileHandle.standardError.write(Data("err\n".utf8))
    }
    #expect(try await child.standardOutput.text == "out\n")
    #expect(try await child.standardError.text == "err\n")
  }

  @Test("what a child said before it crashed can be read", arguments: startMethods)
  func afterCrash(_ method: StartMethod) async throws {
    let child = try ChildProcess(options: ProcessOptions(method) { $0.standardError = .capture }) {
      () -> Void in
      Crash.fatalError.perform()
    }
    await #expect(throws: ProcessError.self) { try await child.value }
    #expect(try await child.standardError.text.contains("the crash that was asked for"))
  }

  @Test("output that is not captured ends at once", arguments: startMethods)
  func notCaptured(_ method: StartMethod) async throws {
    let child = try ChildProcess(options: ProcessOptions(method) { $0.standardOutput = .discard }) {
      print("nobody sees this")
    }
    #expect(try await child.standardOutput.text.isEmpty)
    try await child.value
  }
}
