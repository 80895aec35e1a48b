// Events as JSON, in the array form of the Trace Event Format.

internal import Glibc

/// A piece of a trace file.
struct TraceText: ~Copyable {
  private static let ending = "\n]\n"

  private(set) var bytes: [UInt8] = []

  /// The beginning of a file. Later pieces begin with the comma between their first event and what is there.
  mutating func begin(processName: String) {
    bytes += "[\n".utf8
    addMetadata("process_name", row: nil, "\"name\":", quoted: processName)
  }

  /// What makes the file complete, and the next piece overwrites.
  mutating func end() { bytes += Self.ending.utf8 }

  mutating func add(rowName row: Int) {
    bytes += ",\n".utf8
    addMetadata(
      "thread_name", row: row, "\"name\":", quoted: row == 0 ? "pool" : "worker \(row - 1)")
    bytes += ",\n".utf8
    addMetadata("thread_sort_index", row: row, "\"sort_index\":\(row)", quoted: nil)
  }

  mutating func add(_ event: TraceEvent) {
    bytes += ",\n{\"name\":".utf8
    add(quoted: event.name)
    bytes += ",\"cat\":".utf8
    add(quoted: event.category)
    bytes += ",\"ts\":".utf8
    add(microseconds: event.began)
    if let ended = event.ended {
      bytes += ",\"ph\":\"X\",\"dur\":".utf8
      add(microseconds: ended - event.began)
    } else {
      bytes += ",\"ph\":\"i\",\"s\":\"t\"".utf8
    }
    addPlace(event.row)
    bytes += ",\"args\":{".utf8
    add(event.arguments)
    bytes += "}}".utf8
  }

  // MARK: - Parts

  private mutating func add(_ arguments: TraceEvent.Arguments) {
    switch arguments {
    case .items(let job, let first, let count, let process, let ending):
      bytes += "\"job\":\(job),\"first\":\(first),\"count\":\(count),\"process\":\(process)".utf8
      bytes += ",\"end\":\"\(ending.rawValue)\"".utf8
    case .retry(let job, let item, let attempt):
      bytes += "\"job\":\(job),\"item\":\(item),\"attempt\":\(attempt)".utf8
    case .process(let process, let reason):
      bytes += "\"process\":\(process)".utf8
      if let reason {
        bytes += ",\"reason\":".utf8
        add(quoted: reason)
      }
    }
  }

  private mutating func addMetadata(
    _ name: String, row: Int?, _ argument: String, quoted: String?
  ) {
    bytes += "{\"name\":\"\(name)\",\"ph\":\"M\"".utf8
    addPlace(row ?? 0)
    bytes += ",\"args\":{\(argument)".utf8
    if let quoted { add(quoted: quoted) }
    bytes += "}}".utf8
  }

  /// Rows are threads of this process. The pool's takes the number of the main thread, which others leave out.
  private mutating func addPlace(_ row: Int) {
    let process = Int(getpid())
    let thread = row == 0 ? process : row < process ? row : row + 1
    bytes += ",\"pid\":\(process),\"tid\":\(thread)".utf8
  }

  /// With three decimals: no Double, which would round the times of a machine that has run for months.
  private mutating func add(microseconds nanoseconds: UInt64) {
    let fraction = String(nanoseconds % 1_000)
    bytes += "\(nanoseconds / 1_000).".utf8
    bytes += String(repeating: "0", count: 3 - fraction.utf8.count).utf8
    bytes += fraction.utf8
  }

  private mutating func add(quoted text: String) {
    bytes.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
      case 0..<0x20:
        let digits = String(byte, radix: 16)
        bytes += ("\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits).utf8
      default: bytes.append(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }
}
