// What is taken out of the end of a process's standard error.

import Testing

@testable import Multiprocessing

@Suite("Last words")
struct FatalMessageTests {
  @Test("the runtime's message is found, with all its lines")
  func found() {
    let texts = [
      "Main/File.swift:12: Fatal error: Index out of range",
      "Main/File.swift:12: Fatal error", "Main/File.swift:12: Precondition failed: too small",
      "Main/File.swift:12: Assertion failed",
      "Fatal error: one line\nand another",
      "Could not cast value of type 'A' (0x1) to 'B' (0x2).",
      "free(): invalid pointer",
      "program: file.c:12: function: Assertion `x > 0' failed.",
      "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc",
    ]
    for text in texts {
      #expect(FatalMessage.find(in: text) == text)
      #expect(FatalMessage.find(in: text + "\n") == text)
      #expect(FatalMessage.find(in: "before\n\(text)\n\n") == text)
      #expect(FatalMessage.find(in: "Fatal error: old\nmore\n\(text)\n") == text)
    }
  }

  @Test("the runtime's own backtrace is no part of it")
  func cut() {
    let text = "M/F.swift:1: Fatal error: why"
    #expect(FatalMessage.find(in: "\(text)\n\n*** Signal 4: Backtracing from 0x1...\n") == text)
    #expect(FatalMessage.find(in: "\(text)\n\n💣 Program crashed: Illegal\n") == text)
    #expect(FatalMessage.find(in: "\(text)\nCurrent stack trace:\n0 a\n") == text)
  }

  @Test("other text is none", arguments: ["", "\n", "all is well\n", "fatal error"])
  func none(_ text: String) {
    #expect(FatalMessage.find(in: text) == nil)
  }

  @Test("it is cut to 2 KiB")
  func long() {
    let text = "Fatal error: " + String(repeating: "é", count: 5_000)
    let found = FatalMessage.find(in: text) ?? ""
    #expect(found.hasPrefix("Fatal error: éé"))
    #expect((2_000...2_060).contains(found.utf8.count))
  }

  @Test("the tail is the end of what was written, from a line's beginning on")
  func tail() {
    var tail = StandardErrorTail()
    #expect(tail.text == nil)
    tail.append("first\n".utf8)
    #expect(tail.text == "first\n")
    var all = "first\n"
    for number in 0..<5_000 {
      tail.append("line \(number)\n".utf8)
      all += "line \(number)\n"
      let text = tail.text ?? ""
      #expect(all.hasSuffix(text))
      #expect(text.hasPrefix("line") || text == all)
      #expect(text.utf8.count <= StandardErrorTail.mostBytes)
      #expect(text.utf8.count > min(all.utf8.count, StandardErrorTail.mostBytes) - 20)
    }
    let long = String(repeating: "x", count: 100_000)
    tail.append(long.utf8)
    #expect(tail.text == String(long.prefix(StandardErrorTail.mostBytes)))
  }
}
