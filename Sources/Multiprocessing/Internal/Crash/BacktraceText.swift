// A crashed thread's stack as text.

/// What can be said of a stack once its places have names.
struct BacktraceText {
  /// The trap's reason, where the debug information tells it.
  private(set) var reason: String?
  private(set) var text: String

  private static let reasonPrefix = "Swift runtime failure: "

  init(_ record: CrashRecord) {
    let functions = Symbolizer.functions(at: record.frames.map(\.lookupPlace))
    var lines = ["thread \(record.thread) \"\(record.threadName)\":"]
    var number = 0
    var last: (address: UInt64, count: Int)?
    for (frame, functions) in Self.shown(record.frames, functions) {
      if case .gap(let count) = frame.kind {
        lines.append("   … \(count) more")
        number += Int(clamping: count)
        last = nil
        continue
      }
      // A function that calls itself.
      if let run = last, run.address == frame.address {
        if run.count > 1 { lines.removeLast() }
        lines.append("   … \(run.count) more like it")
        last = (run.address, run.count + 1)
        number += max(1, functions.count)
        continue
      }
      last = (frame.address, 1)
      for function in functions {
        // The compiler puts the reason of a trap where a function's name is expected.
        if let name = function.name, name.hasPrefix(Self.reasonPrefix) {
          if number == 0 { reason = name }
          continue
        }
        lines.append(Self.line(number, frame, function))
        number += 1
      }
      if functions.isEmpty {
        lines.append(Self.line(number, frame, nil))
        number += 1
      }
    }
    text = lines.joined(separator: "\n")
  }

  /// Drops what was found by its look and is not needed, what lies below an async function (the runtime that
  /// called it, instead of the functions that await it), and what calls a body here.
  private static func shown(
    _ frames: [CrashFrame], _ functions: [[CrashFunction]]
  ) -> [(CrashFrame, [CrashFunction])] {
    var shown: [(CrashFrame, [CrashFunction])] = []
    var mayLackCaller = true
    var isAsync = false
    var isBelowAsync = false
    for (frame, functions) in zip(frames, functions) {
      switch frame.kind {
      case .scanned:
        guard mayLackCaller else { continue }
        mayLackCaller = Self.mayLackFrame(frame, functions)
      case .async:
        guard isAsync else { continue }
        isBelowAsync = true
      default:
        if isBelowAsync { return shown }
        if case .instruction = frame.kind {
          mayLackCaller = Self.mayLackFrame(frame, functions)
        }
        isAsync = functions.last?.isAsync == true
      }
      if !shown.isEmpty, functions.contains(where: \.callsBodies) { break }
      shown.append((frame, functions))
    }
    return shown
  }

  /// Whether this code may keep no frame pointer: what has no name is most likely the C library's.
  private static func mayLackFrame(_ frame: CrashFrame, _ functions: [CrashFunction]) -> Bool {
    functions.last.map { !$0.keepsFramePointer } ?? (frame.place?.image != 0)
  }

  private static func line(
    _ number: Int, _ frame: CrashFrame, _ function: CrashFunction?
  ) -> String {
    let count = String(number)
    var line = String(repeating: " ", count: max(0, 4 - count.count)) + count + " "
    line += "0x" + hexadecimal(frame.address) + " "
    if case .scanned = frame.kind { line += "[probably] " }
    if function?.isInlined == true { line += "[inlined] " }
    if let name = function?.name {
      line += name
    } else if let place = frame.place {
      line += "\(frame.imageName.isEmpty ? CurrentProcess.name : frame.imageName)"
      line += " + 0x\(String(place.offset, radix: 16))"
    } else {
      line += "in no loaded file"
    }
    if let function, let file = function.file, function.line > 0,
      !file.hasSuffix("<compiler-generated>")
    {
      line += " at \(file):\(function.line)"
      if function.column > 0 { line += ":\(function.column)" }
    }
    return line
  }

  private static func hexadecimal(_ address: UInt64) -> String {
    let digits = String(address, radix: 16)
    return String(repeating: "0", count: max(0, 16 - digits.count)) + digits
  }
}
