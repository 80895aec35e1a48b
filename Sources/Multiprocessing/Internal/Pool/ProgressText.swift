// Progress in words and as a bar.

/// One state of one map, ready to be written in several widths.
struct ProgressText: Sendable {
  private let progress: ProcessPool.Progress
  /// Nanoseconds since the map began.
  private let elapsed: UInt64
  private let isFinal: Bool

  init(_ progress: ProcessPool.Progress, elapsed: UInt64, isFinal: Bool) {
    self.progress = progress
    self.elapsed = elapsed
    self.isFinal = isFinal
  }

  /// "45% 450/1000", or "450 done".
  var short: String {
    guard let percent else { return "\(progress.completed) done" }
    return "\(percent)% \(count)"
  }

  /// "450/1000 (45%), 37.5/s, 0:15 left, 3 failed"
  var summary: String {
    let share = percent.map { " (\($0)%)" } ?? ""
    return ([count + share] + details).joined(separator: ", ")
  }

  /// As much as `columns` have room for, of
  /// " 45% [=========>          ] 450/1000, 37.5/s, 0:15 left, 3 failed".
  func bar(columns: Int) -> String {
    let text = ([count] + details).joined(separator: ", ")
    guard let percent else { return String(text.prefix(columns)) }
    let number = "\(percent)%"
    let start = String(repeating: " ", count: 4 - number.count) + number + " "
    let width = min(40, columns - start.count - text.count - 3)
    guard width >= 10 else { return String((start + text).prefix(columns)) }
    let filled = width * percent / 100
    let head = filled > 0 && filled < width ? String(repeating: "=", count: filled - 1) + ">" : ""
    let done = head.isEmpty ? String(repeating: "=", count: filled) : head
    return start + "[" + done + String(repeating: " ", count: width - filled) + "] " + text
  }

  // MARK: - Parts

  /// Rounded down: 100 is the end.
  private var percent: Int? {
    progress.total.map { total in
      total > progress.completed ? Int(Double(progress.completed) / Double(total) * 100) : 100
    }
  }

  private var count: String {
    progress.total.map { "\(progress.completed)/\($0)" } ?? "\(progress.completed) done"
  }

  private var details: [String] {
    var parts: [String] = []
    let seconds = Double(elapsed) * 1e-9
    let rate = seconds > 0 ? Double(progress.completed) / seconds : 0
    if rate > 0 { parts.append(Self.text(rate: rate)) }
    if isFinal {
      parts.append("in \(Self.text(seconds: seconds))")
    } else if let total = progress.total, rate > 0 {
      parts.append("\(Self.text(seconds: Double(total - progress.completed) / rate)) left")
    } else {
      parts.append(Self.text(seconds: seconds))
    }
    if progress.failed > 0 { parts.append("\(progress.failed) failed") }
    return parts
  }

  /// Three digits or so: "0.12/s", "37.5/s", "12k/s".
  private static func text(rate: Double) -> String {
    switch rate {
    case ..<1: return decimal(rate, places: 2) + "/s"
    case ..<100: return decimal(rate, places: 1) + "/s"
    case ..<10_000: return "\(Int(rate))/s"
    case ..<10_000_000: return "\(Int(rate / 1e3))k/s"
    default: return "\(Int(min(rate / 1e6, 1e12)))M/s"
    }
  }

  private static func decimal(_ value: Double, places: Int) -> String {
    let scale = places == 1 ? 10 : 100
    let scaled = Int(value * Double(scale))
    let fraction = String(scaled % scale)
    let zeros = String(repeating: "0", count: places - fraction.count)
    return "\(scaled / scale).\(zeros)\(fraction)"
  }

  /// "0:07", "12:00", "3:00:00"
  private static func text(seconds: Double) -> String {
    let seconds = Int(min(seconds, 1e9))
    func padded(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60)
    let end = padded(seconds % 60)
    return hours > 0 ? "\(hours):\(padded(minutes)):\(end)" : "\(minutes):\(end)"
  }
}
