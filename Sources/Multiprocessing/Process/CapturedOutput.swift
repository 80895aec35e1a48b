// What a child wrote, as an asynchronous sequence.

/// What a child wrote, where its destination is `.capture`; else it ends at once. One consumer.
///
/// The application reads as fast as the child writes and keeps what nobody has taken yet, so the child
/// never waits for the reader.
public struct CapturedOutput: AsyncSequence, Sendable {
  public typealias Element = [UInt8]
  public typealias Failure = any Error

  let capture: OutputCapture?

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(capture: capture) }

  public struct AsyncIterator: AsyncIteratorProtocol {
    let capture: OutputCapture?

    /// The bytes that came since the last call; nil at the end of the stream.
    public mutating func next(isolation actor: isolated (any Actor)?) async throws -> [UInt8]? {
      guard let bytes = await capture?.next() else {
        try Task.checkCancellation()
        return nil
      }
      return bytes
    }
  }

  /// The lines, without their ends; UTF-8, with what is not repaired.
  public var lines: any AsyncSequence<String, any Error> & Sendable { CapturedLines(output: self) }

  /// All of it, once the child has closed its end.
  public var text: String {
    get async throws {
      var bytes: [UInt8] = []
      for try await chunk in self { bytes += chunk }
      return String(decoding: bytes, as: UTF8.self)
    }
  }
}

private struct CapturedLines: AsyncSequence, Sendable {
  typealias Element = String
  typealias Failure = any Error
  let output: CapturedOutput

  func makeAsyncIterator() -> Iterator { Iterator(chunks: output.makeAsyncIterator()) }

  struct Iterator: AsyncIteratorProtocol {
    var chunks: CapturedOutput.AsyncIterator
    /// What is not returned yet, from `start` on; before `scanned` there is no end of a line.
    var pending: [UInt8] = []
    var start = 0
    var scanned = 0
    var isAtEnd = false

    mutating func next(isolation actor: isolated (any Actor)?) async throws -> String? {
      let newline = UInt8(ascii: "\n")
      while true {
        if let end = pending[scanned...].firstIndex(of: newline) {
          defer { (start, scanned) = (end + 1, end + 1) }
          return String(decoding: pending[start..<end], as: UTF8.self)
        }
        pending.removeSubrange(..<start)
        (start, scanned) = (0, pending.count)
        if isAtEnd { break }
        if let chunk = try await chunks.next(isolation: actor) {
          pending += chunk
        } else {
          isAtEnd = true
        }
      }
      guard !pending.isEmpty else { return nil }
      defer { (pending, scanned) = ([], 0) }
      return String(decoding: pending, as: UTF8.self)
    }
  }
}
