// A queue between processes.

/// A bounded queue between processes: many senders, many receivers; Python's `Queue` and `JoinableQueue`.
///
/// Elements leave in the order in which they came, each to one receiver. The handle is `Codable` and can sit
/// anywhere inside an argument, or in an element of a queue; it works in every process that has it. Nobody serves the
/// queue: its elements are in memory that its users share, and are encoded and decoded by who sends and receives.
/// Cost: no system call when there is room or an element, and nobody waits.
///
/// **Ends.** The whole handle is both ends. Give ``sender`` and ``receiver`` away, and let the queue go, where the
/// end of the stream shall come with the last sender: receivers get `nil` when no process has a sender any more and
/// the queue is empty, senders that wait for room get ``ProcessError/closed`` when no process has a receiver. An end
/// that a task of a pool was given counts until the task has ended and the application has let go of it too, one of
/// a preload body as long as its fork server lives. A copy made by `ChildProcess.forking` has all ends that the
/// copied process had.
///
/// **Deaths.** A process that dies at any instruction loses at most the element in its own hand: one whose `send`
/// has not returned, or one that `receive` has just taken. Nobody waits for it, what was sent stays, and its ends
/// count as given up, within some 20 ms.
///
/// **Elements.** Of any size: the memory grows with what waits in the queue; 64 MiB of it are kept for what comes, more
/// is given back when it is received. At most `capacity` elements wait. Handles of shared objects in an element are handed over with it, up to 253 descriptors
/// an element (one for a piece of shared memory, a lock or a connection, two for an end of a queue, three for a whole
/// one). The kernel lets some two hundred such elements wait, and not more descriptors than the limit of open files,
/// so their senders may wait before there are `capacity` of them.
///
/// The blocking forms block the calling thread: for the bodies of workers. The asynchronous forms hold none, and
/// throw `CancellationError`.
public final class SharedQueue<Element: Transferable>: Codable, Sendable {
  private let handle: QueueHandle

  /// - Parameter capacity: How many elements wait at most: 1 to 16,777,216.
  /// - Throws: `.invalidConfiguration` for another number, `.startFailed` when there is no memory, address space or
  ///   descriptor. Cost: some 10 µs and three descriptors.
  public init(capacity: Int) throws(ProcessError) { handle = try QueueHandle(capacity: capacity) }

  /// The end that sends, without the other one.
  public var sender: Sender { Sender(handle.sending) }

  /// The end that receives, without the other one.
  public var receiver: Receiver { Receiver(handle.receiving) }

  // MARK: - Sending

  /// Waits for room.
  ///
  /// - Throws: `ProcessError.closed` after ``finish()``, and when there is no room and no receiver any more;
  ///   `.notTransferable` when the element cannot be encoded; `.startFailed` when there is no memory.
  public func send(_ element: Element) throws { try handle.send(element, nil) }

  /// As the blocking form, without holding a thread while it waits; throws also `CancellationError`: then it has not
  /// been sent.
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

  /// false: full. Does not wait, except for a process that is stopped in the middle of a call: half a second.
  public func trySend(_ element: Element) throws -> Bool { try handle.trySend(element) }

  /// No more is sent, by any process; what is there is still received, then `nil`.
  public func finish() { handle.finish() }

  // MARK: - Receiving

  /// Waits for an element. nil: finished, or the last sender is gone, and empty.
  ///
  /// - Throws: `.notTransferable` when the element cannot be decoded, `.startFailed` when there is no memory for it,
  ///   or this process cannot have its descriptors. In the first and the last case it is lost.
  public func receive() throws -> Element? { try handle.receive(Element.self, nil) }

  /// As the blocking form, without holding a thread while it waits; throws also `CancellationError`: then none has been
  /// taken.
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

  /// nil: empty now. Does not wait, except for a process that is stopped in the middle of a call: half a second.
  public func tryReceive() throws -> Element? { try handle.tryReceive(Element.self) }

  /// What is received until the end; those who iterate share it.
  public var elements: SharedStream<Element> { receiver.elements }

  // MARK: - Done

  /// An element is done that this process has received; when it has marked as many as it received, one that another
  /// process has received. Without effect when nobody has any.
  public func markDone() { handle.markDone() }

  /// Waits until every element sent before was received and marked done. One that a process has received and died
  /// with counts as done, one that nobody has received does not: so without receivers it waits.
  public func join() throws { try handle.join(nil) }

  /// As the blocking form, without holding a thread while it waits; throws `CancellationError`.
  public func join() async throws { try await handle.joinSuspended(nil) }

  /// Throws `ProcessError.timedOut` when it took longer.
  public func join(within limit: Duration) throws { try handle.join(limit) }

  /// Throws `ProcessError.timedOut` when it took longer.
  public func join(within limit: Duration) async throws { try await handle.joinSuspended(limit) }

  /// How many elements wait. Approximate: others send and receive.
  public var count: Int { handle.count }

  // MARK: - Codable

  /// Throws `EncodingError` outside a transfer to another process.
  public func encode(to encoder: any Encoder) throws { try handle.encode(to: encoder) }

  /// Throws `DecodingError` outside a transfer to another process.
  public init(from decoder: any Decoder) throws {
    handle = try QueueHandle(from: decoder, sends: true, receives: true)
  }
}
