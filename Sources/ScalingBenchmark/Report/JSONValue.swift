// JSON text (RFC 8259), written from values whose members keep their order.

enum JSONValue {
  case null
  case bool(Bool)
  case integer(Int)
  /// Written as null where it is not finite, which JSON cannot express.
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([(String, JSONValue)])

  init(_ value: Double?) {
    self = value.map { .number($0) } ?? .null
  }

  init(_ value: Int?) {
    self = value.map { .integer($0) } ?? .null
  }

  init(_ value: String?) {
    self = value.map { .string($0) } ?? .null
  }

  /// The text, a member or element a line down to `expandedLevels` levels.
  func text(expandedLevels: Int = 2) -> String {
    var text = ""
    write(to: &text, expandedLevels: expandedLevels, indent: 0)
    return text
  }

  private func write(to text: inout String, expandedLevels: Int, indent: Int) {
    switch self {
    case .null: text += "null"
    case .bool(let value): text += value ? "true" : "false"
    case .integer(let value): text += String(value)
    case .number(let value): text += value.isFinite ? value.description : "null"
    case .string(let value): Self.write(value, to: &text)
    case .array(let elements):
      Self.write("[", elements, "]", to: &text, expandedLevels, indent) { element, text in
        element.write(to: &text, expandedLevels: expandedLevels - 1, indent: indent + 2)
      }
    case .object(let members):
      Self.write("{", members, "}", to: &text, expandedLevels, indent) { member, text in
        Self.write(member.0, to: &text)
        text += ": "
        member.1.write(to: &text, expandedLevels: expandedLevels - 1, indent: indent + 2)
      }
    }
  }

  private static func write<Item>(
    _ open: String, _ items: [Item], _ close: String, to text: inout String,
    _ expandedLevels: Int, _ indent: Int, _ writeItem: (Item, inout String) -> Void
  ) {
    let isExpanded = expandedLevels > 0 && !items.isEmpty
    func newLine(_ width: Int) -> String { "\n" + String(repeating: " ", count: width) }
    text += open
    for (position, item) in items.enumerated() {
      if position > 0 { text += isExpanded ? "," : ", " }
      if isExpanded { text += newLine(indent + 2) }
      writeItem(item, &text)
    }
    if isExpanded { text += newLine(indent) }
    text += close
  }

  private static func write(_ string: String, to text: inout String) {
    text += "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      case "\u{00}"..."\u{1F}":
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}
