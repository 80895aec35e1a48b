// Lines of several processes in one stream, each behind the name of its process.

/// Cuts a stream of bytes into lines and puts a label before each of them.
struct LabelledLines {
  /// A longer line comes in pieces of so many bytes: what a process never ends must not be kept for ever.
  static let longestLine = 1 << 20

  private let label: [UInt8]
  /// The beginning of a line whose end has not come.
  private var rest: [UInt8] = []

  init(_ label: String) { self.label = Array(label.utf8) }

  var hasRest: Bool { !rest.isEmpty }

  /// The lines that are whole now; empty when there is none.
  mutating func add(_ bytes: [UInt8]) -> [UInt8] {
    var lines: [UInt8] = []
    var remaining = bytes[...]
    while let end = remaining.firstIndex(of: UInt8(ascii: "\n")) {
      append(remaining[..<end], to: &lines)
      endLine(&lines)
      remaining = remaining[(end + 1)...]
    }
    append(remaining, to: &lines)
    return lines
  }

  /// What is left, as a line.
  mutating func finish() -> [UInt8] {
    var lines: [UInt8] = []
    if hasRest { endLine(&lines) }
    return lines
  }

  private mutating func append(_ bytes: ArraySlice<UInt8>, to lines: inout [UInt8]) {
    var bytes = bytes
    while rest.count + bytes.count > Self.longestLine {
      let room = Self.longestLine - rest.count
      rest += bytes.prefix(room)
      bytes = bytes.dropFirst(room)
      endLine(&lines)
    }
    rest += bytes
  }

  private mutating func endLine(_ lines: inout [UInt8]) {
    lines += label
    lines += rest
    lines.append(UInt8(ascii: "\n"))
    rest.removeAll(keepingCapacity: rest.count < 65_536)
  }
}
