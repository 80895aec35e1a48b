// A pair of typed ends, for two processes that talk to each other.

internal import CMultiprocessing
internal import Glibc
internal import Synchronization
public import SystemPackage

/// One of two ends that send each other messages; Python's `Pipe()`.
///
/// A message is any `Codable` value of any size; it may hold handles of shared objects, and ends of other
/// connections. It arrives whole or, when its sender is killed, not at all. Either end can be part of an argument or
/// a message; who has a copy of an end, in whatever process, sends and receives by it, each message once. The other
/// side's `receive` returns nil when the last copy of this end is gone, by `close()`, by its last reference, or by
/// the death of its process: so keep no copy of an end that was given away. A copy that a task of a pool was given is
/// gone when the task has ended and the application has let go of it too. `Connection<Int, Never>.pair()` is a
/// one-way connection.
///
/// Messages of up to 64 KiB wait in the kernel, some 200 KB of them, then `send` waits for the receiver; a larger one
/// is written into shared memory at once, and counts as a small one. An end keeps up to 64 MiB of such memory (and up
/// to four descriptors) until it is closed, and uses it again once the receiver has read it. Cost: a system call for each `send` and each
/// `receive`, and a copy out of the kernel or out of shared memory; a receiver asks for 20 µs before it sleeps, so that
/// an answer that comes at once (6 µs there and back on two CPUs of a virtual machine) wakes nobody.
public final class Connection<Outgoing: Transferable, Incoming: Transferable>: Codable, Sendable {
  private let end: ConnectionEnd
  /// Received by somebody who waited for a descriptor.
  private let kept = Mutex<[Incoming]>([])

  private init(_ end: ConnectionEnd) {
    self.end = end
  }

  /// Two ends that are connected.
  ///
  /// - Throws: `.startFailed` when this process can have no more descriptors.
  public static func pair() throws(ProcessError) -> (
    Connection<Outgoing, Incoming>, Connection<Incoming, Outgoing>
  ) {
    let (first, second) = try ConnectionEnd.pair()
    return (Connection(first), Connection<Incoming, Outgoing>(second))
  }

  /// Gives this handle's end back, at once; waits for it throw `.closed`, blocking ones within 50 ms. Other copies of
  /// the end stay open.
  public func close() { end.close() }

  // MARK: - Sending

  /// Sends a message; waits for room. Blocks the calling thread: for the bodies of workers.
  ///
  /// - Throws: `.closed` when nobody can receive any more, or this end was closed; `.notTransferable` for a value that
  ///   cannot be encoded; `.invalidConfiguration` for one with handles of more than 252 descriptors; `.startFailed` when
  ///   there is no memory.
  public func send(_ message: Outgoing) throws {
    try end.send(encoded(message))
  }

  /// Sends a message; waits for room without holding a thread. Throws as the blocking form does, and
  /// `CancellationError`: then nothing was sent.
  public func send(_ message: Outgoing) async throws {
    try await end.send(encoded(message))
  }

  private func encoded(_ message: Outgoing) throws -> OutgoingMessage {
    try OutgoingMessage(end.memories) { writer, transfer in
      try encodeResult(message, into: &writer, transfer)
    }
  }

  // MARK: - Receiving

  /// The next message; nil: every sender is gone. Blocks the calling thread: for the bodies of workers.
  ///
  /// - Throws: `.closed` after `close()`; `.notTransferable` for a message that cannot be decoded, which is gone then,
  ///   as it is after `.startFailed`, when this process cannot have the descriptors that came along.
  public func receive() throws -> Incoming? {
    try message(end.receive(nil, nextMessage), nil)
  }

  /// As the blocking form, without holding a thread; throws `CancellationError` too, and takes nothing then.
  public func receive() async throws -> Incoming? {
    try await message(end.receive(nil, nextMessage), nil)
  }

  /// Throws `.timedOut`.
  public func receive(within limit: Duration) throws -> Incoming? {
    try message(end.receive(deadline(limit), nextMessage), limit)
  }

  /// Throws `.timedOut`.
  public func receive(within limit: Duration) async throws -> Incoming? {
    try await message(end.receive(deadline(limit), nextMessage), limit)
  }

  /// The messages until every sender is gone.
  public var messages: SharedStream<Incoming> {
    SharedStream({ try await self.receive() }, blocking: { try self.receive() })
  }

  private func message(
    _ received: ConnectionEnd.Received<Incoming>, _ limit: Duration?
  ) throws -> Incoming? {
    switch received {
    case .value(let message): return message
    case .end: return nil
    case .timedOut: throw ProcessError.timedOut(limit ?? .zero)
    }
  }

  private func deadline(_ limit: Duration) -> UInt64 { mproc_now_ns() &+ limit.nanoseconds }

  /// nil: there is none now.
  private func nextMessage(
    _ end: ConnectionEnd, _ socket: SharedDescriptor
  ) throws -> ConnectionEnd.Received<Incoming>? {
    let early = kept.withLock { $0.isEmpty ? nil : $0.removeFirst() }
    if let early { return .value(early) }
    while true {
      switch try Self.take(socket) {
      case .value(let message): return .value(message)
      case .descriptor(let descriptor): end.keep(descriptor)
      case .none: return nil
      case .end: return .end
      }
    }
  }

  private static func take(_ socket: SharedDescriptor) throws -> IncomingMessage<Incoming> {
    try IncomingMessage.receive(from: socket.rawValue) { reader, transfer in
      try decodeArgument(Incoming.self, from: &reader, transfer)
    }
  }

  // MARK: - Descriptors

  /// Sends a descriptor, which is duplicated: the caller keeps its own. Descriptors and messages are received each in
  /// their own order. Blocks the calling thread while there is no room.
  public func send(descriptor: FileDescriptor) throws {
    try end.send(OutgoingMessage(descriptor.rawValue))
  }

  /// As the blocking form, without holding a thread.
  public func send(descriptor: FileDescriptor) async throws {
    try await end.send(OutgoingMessage(descriptor.rawValue))
  }

  /// The next descriptor, close-on-exec, which is the caller's to close; nil: every sender is gone. Messages that come
  /// before it wait in this handle, not in copies of it. Blocks the calling thread.
  public func receiveDescriptor() throws -> FileDescriptor? {
    try descriptor(end.receive(nil, nextDescriptor))
  }

  /// As the blocking form, without holding a thread.
  public func receiveDescriptor() async throws -> FileDescriptor? {
    try await descriptor(end.receive(nil, nextDescriptor))
  }

  private func descriptor(_ received: ConnectionEnd.Received<Int32>) -> FileDescriptor? {
    guard case .value(let descriptor) = received else { return nil }
    return FileDescriptor(rawValue: descriptor)
  }

  private func nextDescriptor(
    _ end: ConnectionEnd, _ socket: SharedDescriptor
  ) throws -> ConnectionEnd.Received<Int32>? {
    if let early = end.takeDescriptor() { return .value(early) }
    while true {
      switch try Self.take(socket) {
      case .descriptor(let descriptor): return .value(descriptor)
      case .value(let message):
        kept.withLock { $0.append(message) }
        end.wakeAll()
      case .none: return nil
      case .end: return .end
      }
    }
  }

  // MARK: - Codable

  /// Throws `EncodingError` outside a transfer to another process, and after `close()`.
  public func encode(to encoder: any Encoder) throws {
    guard let socket = try? end.socket() else {
      throw EncodingError.invalidValue(
        self,
        EncodingError.Context(
          codingPath: encoder.codingPath,
          debugDescription: "an end of a connection cannot be sent after close()"))
    }
    try socket.encode(to: encoder)
  }

  /// Throws `DecodingError` outside a transfer to another process.
  public convenience init(from decoder: any Decoder) throws {
    self.init(ConnectionEnd(try SharedDescriptor.decode(from: decoder)))
  }
}
