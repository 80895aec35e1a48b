// The documentation's examples are code that is compiled and run: each one is found again in a test.

import Foundation
import Testing

@Suite("Examples of the documentation")
struct SnippetTests {
  @Test(
    "every paragraph of Swift in a document stands in its test, word for word",
    arguments: [
      ("README.md", "ReadmeTests.swift"), ("docs/FromPython.md", "FromPythonTests.swift"),
      ("docs/Pinning.md", "PinningTests.swift"),
      ("docs/SharedMemory.md", "SharedMemoryPageTests.swift"),
    ])
  func snippetsAreTested(_ document: String, _ test: String) throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    let root = folder.appending(path: "../../..")
    let text = try String(contentsOf: root.appending(path: document), encoding: .utf8)
    let source = try String(contentsOf: folder.appending(path: test), encoding: .utf8)
    // A paragraph may have the test's expectations in its middle.
    let tested = source.split(separator: "\n").map(words(of:)).filter { !$0.hasPrefix("#expect") }
    let paragraphs = Self.paragraphs(of: text)
    #expect(paragraphs.count > 5)
    for paragraph in paragraphs {
      #expect(tested.contains(paragraph), "\(paragraph.joined(separator: "\n"))")
    }
  }

  /// The Swift code of a document, cut at empty lines.
  private static func paragraphs(of document: String) -> [[String]] {
    var paragraphs: [[String]] = []
    var isSwift = false
    for line in document.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("```") {
        isSwift = line == "```swift"
        paragraphs.append([])
      } else if !isSwift {
        continue
      } else if line.allSatisfy(\.isWhitespace) {
        paragraphs.append([])
      } else if line != "@main" {
        paragraphs[paragraphs.count - 1].append(words(of: line))
      }
    }
    return paragraphs.filter { paragraph in
      // A manifest is no code of a test.
      !paragraph.isEmpty && paragraph.first != "dependencies: ["
    }
  }
}

/// A line as it is compared: without its indentation, the alignment of its comments, and what keeps a test's
/// declarations from its neighbours.
private func words(of line: some StringProtocol) -> String {
  line.split(separator: " ").filter { $0 != "private" }.joined(separator: " ")
}
