// The last words of a process, out of the end of its standard error.

enum FatalMessage {
  private static let mostBytes = 2_048

  /// What the runtimes say before they end a process.
  private static let marks = [
    "Fatal error: ", ": Fatal error", ": Precondition failed", ": Assertion failed",
    "Fatal access conflict detected", "Could not cast value of type ",
    "terminate called ", ": Assertion `", "free(): ", "malloc(): ", "double free or corruption",
    "corrupted size vs. prev_size", "*** stack smashing detected ***",
    "*** buffer overflow detected ***",
  ]

  /// What follows when the runtime's own backtraces are enabled.
  private static let ends = ["\n*** ", "\n💣", "\nCurrent stack trace:", "\nCrash in "]

  /// From the last line that has one of the marks on, which may be several lines.
  static func find(in tail: String) -> String? {
    guard let start = marks.compactMap({ lastRange(of: $0, in: tail) }).max() else { return nil }
    let line = tail[..<start].lastIndex(of: "\n").map { tail.index(after: $0) } ?? tail.startIndex
    var message = tail[line...]
    for end in ends {
      if let range = firstRange(of: end, in: message.dropFirst()) { message = message[..<range] }
    }
    while message.last?.isWhitespace == true { message.removeLast() }
    return message.utf8.count <= mostBytes
      ? String(message) : String(decoding: message.utf8.prefix(mostBytes), as: UTF8.self)
  }

  /// Whether this says that memory could not be had.
  static func isAllocationFailure(_ message: String) -> Bool {
    message.contains("failed to allocate") || message.contains("std::bad_alloc")
  }

  private static func firstRange(of text: String, in whole: Substring) -> String.Index? {
    var rest = whole
    while let start = rest.utf8.firstIndex(of: text.utf8.first!) {  // Never empty.
      if whole.utf8[start...].starts(with: text.utf8) { return start }
      rest = rest[rest.utf8.index(after: start)...]
    }
    return nil
  }

  private static func lastRange(of text: String, in whole: String) -> String.Index? {
    var last: String.Index?
    var rest = whole[...]
    while let found = firstRange(of: text, in: rest) {
      last = found
      rest = whole[whole.utf8.index(after: found)...]
    }
    return last
  }
}
