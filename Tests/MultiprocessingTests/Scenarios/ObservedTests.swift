// What others see of an application from outside: progress on a terminal, the timeline of one that was killed.

import Foundation
import Glibc
import Testing

@Suite("Applications that are looked at", .serialized, .timeLimit(.minutes(2)))
struct ObservedTests {
  @Test("bars on a terminal share a line, and each leaves one behind", arguments: [70, 40])
  func bars(_ columns: Int) async throws {
    let terminal = try PseudoTerminal(columns: columns)
    let scenario = try Scenario("progress", standardError: terminal.terminal)
    let written = try await terminal.readToEnd()
    let (lines, status) = try await scenario.finish()
    #expect(lines.last == "progress passed" && status == 0)
    let screen = Screen(columns: columns)
    screen.write(written)
    #expect(screen.lines.count == 4, "\(screen.lines)")
    #expect(screen.lines.allSatisfy { $0.count < columns })
    #expect(
      screen.lines.dropLast().filter { $0.hasPrefix("100% ") && $0.contains("150/150") }.count == 1)
    #expect(
      screen.lines.dropLast().filter { $0.hasPrefix("100% ") && $0.contains("100/100") }.count == 1)
    if columns == 70 { #expect(screen.lines.dropLast().last?.contains(" failed") == true) }
    #expect(screen.lines.last == "")
    // Both ran at once.
    #expect(written.contains("/150 | ") || written.contains("/100 | "))
  }

  @Test("without a terminal a bar is plain lines")
  func lines() async throws {
    let output = Pipe()
    let scenario = try Scenario("progress", standardError: output.fileHandleForWriting)
    try output.fileHandleForWriting.close()
    let bytes = try output.fileHandleForReading.readToEnd() ?? Data()
    let (lines, status) = try await scenario.finish()
    #expect(lines.last == "progress passed" && status == 0)
    let written = String(decoding: bytes, as: UTF8.self)
    #expect(!written.contains("\r") && written.hasSuffix("\n"))
    let reports = written.split(separator: "\n")
    #expect(reports.filter { $0.hasPrefix("150/150 (100%), ") }.count == 1)
    #expect(reports.filter { $0.hasPrefix("100/100 (100%), ") }.count == 1)
    #expect(reports.last?.hasSuffix(" failed") == true)
  }

  @Test(
    "what workers print comes out line by line, behind their names",
    arguments: ["forkServer", "spawn"])
  func forwarding(_ method: String) async throws {
    let errors = Pipe()
    let scenario = try Scenario("forwarding", method, standardError: errors.fileHandleForWriting)
    try errors.fileHandleForWriting.close()
    let (output, status) = try await scenario.finish()
    let bytes = try errors.fileHandleForReading.readToEnd() ?? Data()
    #expect(status == 0)
    let name = #/job-[01]: /#
    let printed = output.map { $0.trimmingPrefix(name) }
    #expect(zip(output, printed).allSatisfy { $0.count == $1.count + 7 })
    let expected =
      (0..<200).map { "line \($0)" } + [
        String(repeating: "y", count: 300_000), "", "printed", "the last words",
      ]
    #expect(printed.map(String.init).sorted() == expected.sorted())
    let reported = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    #expect(
      reported.map { String($0.trimmingPrefix(name)) }.sorted()
        == ((0..<200).map { "error \($0)" } + ["half a line"]).sorted())
    #expect(reported.allSatisfy { $0.starts(with: name) })
  }

  @Test("the timeline of an application that was killed can be read")
  func killed() async throws {
    try await withTemporaryDirectory { directory in
      let path = directory + "/trace.json"
      let scenario = try Scenario("trace", path)
      #expect(try await scenario.readLine() == "working")
      try await until {
        (try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? 0) > 4_096
      }
      scenario.kill()
      let data = try Data(contentsOf: URL(fileURLWithPath: path))
      let events = try #require(try JSONSerialization.jsonObject(with: data) as? [[String: Any]])
      #expect(events.filter { $0["ph"] as? String == "X" }.count > 10)
      let rows = events.filter { $0["name"] as? String == "thread_name" }
      #expect(rows.count == 2)
    }
  }
}
