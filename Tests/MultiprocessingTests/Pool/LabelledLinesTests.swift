// Cutting a stream into labelled lines, wherever its pieces end.

import Testing

@testable import Multiprocessing

@Suite("Labelled lines")
struct LabelledLinesTests {
  @Test("lines are whole, wherever the pieces end", arguments: 1...7)
  func pieces(_ size: Int) {
    let text = Array("one\n\ntwo two\nthe third\nrest".utf8)
    var lines = LabelledLines("w: ")
    var shown: [UInt8] = []
    for start in stride(from: 0, to: text.count, by: size) {
      let more = lines.add(Array(text[start..<min(start + size, text.count)]))
      #expect(more.isEmpty || more.last == UInt8(ascii: "\n"))
      shown += more
    }
    #expect(String(decoding: shown, as: UTF8.self) == "w: one\nw: \nw: two two\nw: the third\n")
    #expect(lines.hasRest)
    #expect(String(decoding: lines.finish(), as: UTF8.self) == "w: rest\n")
    #expect(!lines.hasRest && lines.finish().isEmpty)
  }

  @Test("a line without an end comes in pieces")
  func long() {
    let longest = LabelledLines.longestLine
    var lines = LabelledLines("w: ")
    var shown: [UInt8] = []
    for _ in 0..<5 { shown += lines.add([UInt8](repeating: 7, count: longest / 2)) }
    shown += lines.finish()
    let pieces = shown.split(separator: UInt8(ascii: "\n"))
    #expect(pieces.map { $0.count - 3 } == [longest, longest, longest / 2])
  }
}
