// Numbers as text, without Foundation.

enum Formatting {
  /// A number with `digits` digits after the point, as in "1.96"; a dash where there is none.
  static func fixed(_ value: Double?, _ digits: Int) -> String {
    guard let value, value.isFinite else { return "–" }
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let scaled = (abs(value) * scale).rounded()
    guard scaled < 0x1p53 else { return value.description }
    let sign = value < 0 && scaled > 0 ? "-" : ""
    if digits == 0 { return sign + String(Int(scaled)) }
    let text = String(Int(scaled))
    let padded = String(repeating: "0", count: max(0, digits + 1 - text.count)) + text
    return sign + padded.dropLast(digits) + "." + padded.suffix(digits)
  }

  /// Seconds with four significant digits, at least to the microsecond.
  static func seconds(_ value: Double) -> String {
    value >= 100 ? fixed(value, 2) : value >= 10 ? fixed(value, 3) : fixed(value, 4)
  }

  /// A byte count in the largest binary unit that gives at least one.
  static func bytes(_ count: Int) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"]
    var value = Double(count)
    var unit = 0
    while value >= 1024, unit < units.count - 1 {
      value /= 1024
      unit += 1
    }
    return fixed(value, value < 10 && value != value.rounded() ? 1 : 0) + " " + units[unit]
  }

  static func left(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }

  static func right(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }

  /// Lines of at most `width` characters, broken at spaces; a longer word keeps its length.
  static func wrapped(_ text: String, width: Int) -> [String] {
    var lines: [String] = []
    for word in text.split(separator: " ") {
      if let line = lines.last, line.count + 1 + word.count <= width {
        lines[lines.count - 1] = line + " " + word
      } else {
        lines.append(String(word))
      }
    }
    return lines
  }

  /// "1 core", "2 cores".
  static func count(_ number: Int, _ noun: String) -> String {
    "\(number) \(noun)\(number == 1 ? "" : "s")"
  }
}
