// What arrives from other processes, one after the other.

/// What arrives from other processes, one after the other, until its last sender is gone or has finished.
///
/// Iterate with `for try await`, or in a synchronous body over `blocking`. Every element goes to one of those who
/// iterate, in whatever process.
public struct SharedStream<Element: Transferable>: AsyncSequence, Sendable {
  public typealias Failure = any Error

  private let next: @Sendable () async throws -> Element?
  private let blockingNext: @Sendable () throws -> Element?

  init(
    _ next: @escaping @Sendable () async throws -> Element?,
    blocking: @escaping @Sendable () throws -> Element?
  ) {
    self.next = next
    blockingNext = blocking
  }

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(receive: next) }

  /// Waits for each element without holding a thread.
  public struct AsyncIterator: AsyncIteratorProtocol {
    fileprivate let receive: @Sendable () async throws -> Element?

    /// Throws what receiving throws, and `CancellationError`.
    public mutating func next(
      isolation actor: isolated (any Actor)? = #isolation
    ) async throws -> Element? {
      try await receive()
    }
  }

  /// The same elements for a synchronous body: each wait blocks the calling thread.
  public var blocking: Blocking { Blocking(receive: blockingNext) }

  /// Waits for each element on the calling thread.
  public struct Blocking: Sendable {
    fileprivate let receive: @Sendable () throws -> Element?

    /// nil: no more will come.
    public func next() throws -> Element? { try receive() }

    /// Calls `body` with each element.
    public func forEach(_ body: (Element) throws -> Void) throws {
      while let element = try receive() { try body(element) }
    }
  }
}
