// A JSON value and its text, in the order given; enough for reports, without Foundation.

indirect enum JSON: CustomStringConvertible {
  case null
  case integer(Int)
  case string(String)
  case array([JSON])
  case object(KeyValuePairs<String, JSON>)

  var description: String {
    switch self {
    case .null: "null"
    case .integer(let value): String(value)
    case .string(let value): Self.quoted(value)
    case .array(let values): "[" + values.map(\.description).joined(separator: ", ") + "]"
    case .object(let members):
      "{"
        + members.map { Self.quoted($0.key) + ": " + $0.value.description }.joined(separator: ", ")
        + "}"
    }
  }

  private static func quoted(_ text: String) -> String {
    let escaped = text.unicodeScalars.map { scalar in
      switch scalar {
      case "\"", "\\": "\\\(scalar)"
      case "\u{0}"..<" ":
        "\\u" + String(repeating: "0", count: scalar.value < 16 ? 3 : 2)
          + String(scalar.value, radix: 16)
      default: String(scalar)
      }
    }
    return "\"" + escaped.joined() + "\""
  }
}
