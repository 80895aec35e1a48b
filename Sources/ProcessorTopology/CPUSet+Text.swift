// The list form of a CPU set, as taskset(1), numactl(8) and the kernel's cpulist files write it:
// items separated by commas, an item being a number, a range "first-last", or a range with a step
// "first-last:step". Blanks around items are accepted; a range that runs backwards, a step of
// zero, an empty item and a number above 1,048,575 are not.

extension CPUSet: CustomStringConvertible {
  /// The list form, with runs of three and more shortened: `"0,1,4-7"`; empty for the empty set.
  public var description: String {
    var items: [String] = []
    var run: ClosedRange<Int>?
    func close(_ run: ClosedRange<Int>?) {
      guard let run else { return }
      switch run.count {
      case 1, 2: items.append(contentsOf: run.map(String.init))
      default: items.append("\(run.lowerBound)-\(run.upperBound)")
      }
    }
    for cpu in self {
      if let open = run, open.upperBound + 1 == cpu {
        run = open.lowerBound...cpu
      } else {
        close(run)
        run = cpu...cpu
      }
    }
    close(run)
    return items.joined(separator: ",")
  }
}

extension CPUSet: ExpressibleByStringLiteral {
  /// Reads a literal in list form. A malformed literal traps.
  public init(stringLiteral value: String) {
    do {
      try self.init(parsing: value)
    } catch {
      fatalError(error.description)
    }
  }

  /// Reads text in list form; an empty or blank text is the empty set.
  ///
  /// - Parameter list: Text that is not a literal; `CPUSet("0-3")` is the literal and traps.
  /// - Throws: ``ParseError`` with the position of the first thing that is wrong.
  public init(_ list: some StringProtocol) throws(ParseError) {
    try self.init(parsing: String(list))
  }

  private init(parsing list: String) throws(ParseError) {
    var parser = ListParser(list)
    self = try parser.parse()
  }

  /// A text that is not the list form of a CPU set.
  public struct ParseError: Error, Hashable, CustomStringConvertible {
    /// The whole text.
    public var list: String
    /// Where reading stopped, in bytes of UTF-8 from the start of the text.
    public var offset: Int
    /// What is wrong there.
    public var reason: String

    public var description: String {
      "malformed CPU list \"\(list)\": \(reason) at offset \(offset)"
    }
  }
}

extension CPUSet: Codable {
  /// Decodes the list form from a string.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let list = try container.decode(String.self)
    do {
      try self.init(parsing: list)
    } catch {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: error.description)
    }
  }

  /// Encodes the list form as a string.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

// MARK: - Parser

private struct ListParser {
  private let list: String
  private let bytes: [UInt8]
  private var position = 0

  init(_ list: String) {
    self.list = list
    bytes = Array(list.utf8)
  }

  mutating func parse() throws(CPUSet.ParseError) -> CPUSet {
    var result = CPUSet()
    skipBlanks()
    if position == bytes.count { return result }
    while true {
      try parseItem(into: &result)
      skipBlanks()
      if position == bytes.count { return result }
      guard take(UInt8(ascii: ",")) else { throw error("expected a comma", at: position) }
      skipBlanks()
    }
  }

  private mutating func parseItem(into result: inout CPUSet) throws(CPUSet.ParseError) {
    let first = try parseNumber()
    guard take(UInt8(ascii: "-")) else {
      result.insert(first)
      return
    }
    let lastPosition = position
    let last = try parseNumber()
    guard first <= last else { throw error("a range that runs backwards", at: lastPosition) }
    var step = 1
    if take(UInt8(ascii: ":")) {
      let stepPosition = position
      step = try parseNumber()
      guard step > 0 else { throw error("a step of zero", at: stepPosition) }
    }
    for cpu in stride(from: first, through: last, by: step) { result.insert(cpu) }
  }

  private mutating func parseNumber() throws(CPUSet.ParseError) -> Int {
    let start = position
    var value = 0
    while position < bytes.count, case let digit = bytes[position] &- UInt8(ascii: "0"), digit < 10
    {
      value = value * 10 + Int(digit)
      guard value <= CPUSet.highestCPU else {
        throw error("a number above \(CPUSet.highestCPU)", at: start)
      }
      position += 1
    }
    guard position > start else { throw error("expected a number", at: start) }
    return value
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard position < bytes.count, bytes[position] == byte else { return false }
    position += 1
    return true
  }

  private mutating func skipBlanks() {
    while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) {
      position += 1
    }
  }

  private func error(_ reason: String, at offset: Int) -> CPUSet.ParseError {
    CPUSet.ParseError(list: list, offset: offset, reason: reason)
  }
}
