// The ends of a queue, each on its own.

extension SharedQueue {
  /// The end of a ``SharedQueue`` that sends: receivers get `nil` when the last one is gone.
  public final class Sender: Codable, Sendable {
    private let handle: QueueHandle

    init(_ handle: QueueHandle) {
      self.handle = handle
    }

    /// Waits for room; throws as the queue's own `send` does.
    public func send(_ element: Element) throws { try handle.send(element, nil) }

    /// As the blocking form, without holding a thread while it waits; throws also `CancellationError`.
    public func send(_ element: Element) async throws {
      try await handle.sendSuspended(element, nil)
    }

    /// Throws also `ProcessError.timedOut` when there was no room within `limit`.
    public func send(_ element: Element, within limit: Duration) throws {
      try handle.send(element, limit)
    }

    /// Throws also `ProcessError.timedOut` when there was no room within `limit`.
    public func send(_ element: Element, within limit: Duration) async throws {
      try await handle.sendSuspended(element, limit)
    }

    /// false: full.
    public func trySend(_ element: Element) throws -> Bool { try handle.trySend(element) }

    /// No more is sent, by any process; what is there is still received, then `nil`.
    public func finish() { handle.finish() }

    /// How many elements wait. Approximate: others send and receive.
    public var count: Int { handle.count }

    /// Throws `EncodingError` outside a transfer to another process.
    public func encode(to encoder: any Encoder) throws { try handle.encode(to: encoder) }

    /// Throws `DecodingError` outside a transfer to another process.
    public init(from decoder: any Decoder) throws {
      handle = try QueueHandle(from: decoder, sends: true, receives: false)
    }
  }

  /// The end of a ``SharedQueue`` that receives: senders that wait are told when the last one is gone.
  public final class Receiver: Codable, Sendable {
    private let handle: QueueHandle

    init(_ handle: QueueHandle) {
      self.handle = handle
    }

    /// Waits for an element. nil: finished, or the last sender is gone, and empty.
    public func receive() throws -> Element? { try handle.receive(Element.self, nil) }

    /// As the blocking form, without holding a thread while it waits; throws also `CancellationError`.
    public func receive() async throws -> Element? {
      try await handle.receiveSuspended(Element.self, nil)
    }

    /// Throws also `ProcessError.timedOut` when none came within `limit`.
    public func receive(within limit: Duration) throws -> Element? {
      try handle.receive(Element.self, limit)
    }

    /// Throws also `ProcessError.timedOut` when none came within `limit`.
    public func receive(within limit: Duration) async throws -> Element? {
      try await handle.receiveSuspended(Element.self, limit)
    }

    /// nil: empty now.
    public func tryReceive() throws -> Element? { try handle.tryReceive(Element.self) }

    /// What is received until the end; those who iterate share it.
    public var elements: SharedStream<Element> {
      SharedStream(
        { [self] in try await receive() },
        blocking: { [handle] in
          try handle.receive(Element.self, nil)
        })
    }

    /// As ``SharedQueue/markDone()``.
    public func markDone() { handle.markDone() }

    /// How many elements wait. Approximate: others send and receive.
    public var count: Int { handle.count }

    /// Throws `EncodingError` outside a transfer to another process.
    public func encode(to encoder: any Encoder) throws { try handle.encode(to: encoder) }

    /// Throws `DecodingError` outside a transfer to another process.
    public init(from decoder: any Decoder) throws {
      handle = try QueueHandle(from: decoder, sends: false, receives: true)
    }
  }
}
