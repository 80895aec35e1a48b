// SVG 1.1 text, element by element. Coordinates are pixels from the upper left corner, written to a
// tenth; text is escaped here and nowhere else.

struct SVGCanvas {
  private var body = ""
  let width: Double
  let height: Double

  init(width: Double, height: Double) {
    self.width = width
    self.height = height
  }

  struct Point: Sendable, Hashable {
    var x: Double
    var y: Double
  }

  enum Anchor: String {
    case start
    case middle
    case end
  }

  struct TextStyle {
    var size = 13.0
    var color = Palette.text
    var anchor = Anchor.start
    var isBold = false
    var angle: Double?
  }

  struct Stroke {
    var color: String
    var width = 1.0
    var dash: String?
  }

  mutating func rectangle(at origin: Point, width: Double, height: Double, fill: String) {
    element(
      "rect",
      [
        ("x", Self.number(origin.x)), ("y", Self.number(origin.y)),
        ("width", Self.number(width)), ("height", Self.number(height)), ("fill", fill),
      ])
  }

  mutating func line(_ points: [Point], _ stroke: Stroke) {
    var attributes = [
      ("points", points.map { "\(Self.number($0.x)),\(Self.number($0.y))" }.joined(separator: " ")),
      ("fill", "none"), ("stroke", stroke.color), ("stroke-width", Self.number(stroke.width)),
      ("stroke-linejoin", "round"),
    ]
    if let dash = stroke.dash { attributes.append(("stroke-dasharray", dash)) }
    element("polyline", attributes)
  }

  mutating func polygon(_ points: [Point], fill: String, stroke: String) {
    element(
      "polygon",
      [
        (
          "points",
          points.map { "\(Self.number($0.x)),\(Self.number($0.y))" }.joined(separator: " ")
        ),
        ("fill", fill), ("stroke", stroke), ("stroke-width", "1.6"), ("stroke-linejoin", "round"),
      ])
  }

  mutating func circle(at center: Point, radius: Double, fill: String, stroke: String) {
    element(
      "circle",
      [
        ("cx", Self.number(center.x)), ("cy", Self.number(center.y)),
        ("r", Self.number(radius)), ("fill", fill), ("stroke", stroke), ("stroke-width", "1.6"),
      ])
  }

  mutating func text(_ text: String, at point: Point, _ style: TextStyle = TextStyle()) {
    var attributes = [
      ("x", Self.number(point.x)), ("y", Self.number(point.y)),
      ("font-size", Self.number(style.size)), ("fill", style.color),
      ("text-anchor", style.anchor.rawValue),
    ]
    if style.isBold { attributes.append(("font-weight", "bold")) }
    if let angle = style.angle {
      attributes.append(
        (
          "transform",
          "rotate(\(Self.number(angle)) \(Self.number(point.x)) \(Self.number(point.y)))"
        ))
    }
    element("text", attributes, content: text)
  }

  /// The whole document, ending with a line feed.
  var document: String {
    let size = "width=\"\(Self.number(width))\" height=\"\(Self.number(height))\""
    let box = "viewBox=\"0 0 \(Self.number(width)) \(Self.number(height))\""
    return """
      <?xml version="1.0" encoding="UTF-8"?>
      <svg xmlns="http://www.w3.org/2000/svg" \(size) \(box) font-family="\(Self.fonts)">
      \(body)</svg>

      """
  }

  /// About how wide a text is: the average advance of sans-serif letters is 0.56 of their size.
  static func width(of text: String, size: Double) -> Double {
    0.56 * size * Double(text.count)
  }

  private static let fonts = "Helvetica, Arial, 'DejaVu Sans', sans-serif"

  private mutating func element(
    _ name: String, _ attributes: [(String, String)], content: String? = nil
  ) {
    body += "<" + name
    for (key, value) in attributes { body += " \(key)=\"\(Self.escaped(value))\"" }
    body += content.map { ">\(Self.escaped($0))</\(name)>\n" } ?? "/>\n"
  }

  /// To a tenth, without a needless ".0".
  private static func number(_ value: Double) -> String {
    let text = Formatting.fixed(value, 1)
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
  }

  static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      // XML 1.0 has no way to write the other control characters.
      case "\u{00}"..<"\u{20}": result += " "
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}

/// The colours of the plot. The series colours are those of Okabe and Ito, which people with any
/// kind of colour blindness can tell apart.
enum Palette {
  static let background = "#ffffff"
  static let text = "#1a1a1a"
  static let faintText = "#5f6368"
  static let grid = "#e6e8eb"
  static let axis = "#80868b"
  static let series = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]
}
