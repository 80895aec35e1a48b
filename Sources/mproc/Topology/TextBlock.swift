// Rectangles of text that stand beside and above each other and take frames: the means of the drawing
// in text. Every character used is one column wide.

struct TextBlock {
  private(set) var lines: [String]
  let width: Int

  init(_ lines: [String]) {
    self.lines = lines
    width = lines.map(\.count).max() ?? 0
  }

  /// The blocks one above the other.
  static func stack(_ blocks: [TextBlock]) -> TextBlock {
    TextBlock(blocks.flatMap(\.lines))
  }

  /// The blocks side by side, in as many rows as a width takes; a block that is wider has its own row.
  static func flow(_ blocks: [TextBlock], width: Int, gap: Int) -> TextBlock {
    stack(rows(of: blocks, width: width, gap: gap, measure: \.width).map { row($0, gap: gap) })
  }

  private static func row(_ blocks: [TextBlock], gap: Int) -> TextBlock {
    let height = blocks.map(\.lines.count).max() ?? 0
    return TextBlock(
      (0..<height).map { index in
        blocks.map { $0.line(index) }.joined(separator: String(repeating: " ", count: gap))
      })
  }

  private func line(_ index: Int) -> String {
    let text = index < lines.count ? lines[index] : ""
    return text + String(repeating: " ", count: width - text.count)
  }

  /// The block in a frame with the labels in its upper edge, or inside where they are too long.
  func framed(_ labels: [String], width limit: Int, glyphs: Glyphs) -> TextBlock {
    var title = ""
    var inside: [String] = []
    for label in labels {
      let longer = title.isEmpty ? label : title + glyphs.separator + label
      if inside.isEmpty, longer.count + 6 <= limit { title = longer } else { inside.append(label) }
    }
    let content = TextBlock(inside + lines)
    let inner = max(content.width, title.count + 2)
    let edge = String(repeating: glyphs.horizontal, count: inner - title.count - 1)
    let bottom = String(repeating: glyphs.horizontal, count: inner + 2)
    let body = content.lines.map { line in
      "\(glyphs.vertical) \(line)\(String(repeating: " ", count: inner - line.count)) "
        + glyphs.vertical
    }
    return TextBlock(
      ["\(glyphs.topLeft)\(glyphs.horizontal) \(title) \(edge)\(glyphs.topRight)"] + body
        + ["\(glyphs.bottomLeft)\(bottom)\(glyphs.bottomRight)"])
  }
}

/// The characters of a drawing.
struct Glyphs: Sendable {
  var horizontal = "─"
  var vertical = "│"
  var topLeft = "┌"
  var topRight = "┐"
  var bottomLeft = "└"
  var bottomRight = "┘"
  var separator = " · "
  var allowed = "■"
  var isolated = "◆"
  var forbidden = "□"

  static let boxes = Glyphs()
  /// For terminals and files without Unicode.
  static let plain = Glyphs(
    horizontal: "-", vertical: "|", topLeft: "+", topRight: "+", bottomLeft: "+", bottomRight: "+",
    separator: ", ", allowed: "*", isolated: "i", forbidden: "-")

  func mark(_ state: CPUState) -> String {
    switch state {
    case .allowed: allowed
    case .isolated: isolated
    case .forbidden: forbidden
    }
  }
}
