// What the handles of a queue have in common: its memory, and the ends that the handle holds.

internal import CMultiprocessing
internal import Glibc
internal import SystemPackage

/// A queue with one end or both.
struct QueueHandle: Sendable {
  let memory: QueueMemory
  private let sender: QueueEnd?
  private let receiver: QueueEnd?

  /// A new queue, with both ends.
  init(capacity: Int) throws(ProcessError) {
    guard capacity > 0, capacity <= Int(MPROC_QUEUE_MAX_CAPACITY) else {
      throw .invalidConfiguration(
        "a queue of \(capacity) elements: ask for 1 to \(MPROC_QUEUE_MAX_CAPACITY)")
    }
    mproc_reserve_standard_streams()
    let memory = mproc_queue_create(UInt64(capacity))
    try Multiprocessing.check(memory, "memory for a queue")
    self.memory = try QueueMemory.of(SharedDescriptor(memory))
    var ends: (Int32, Int32) = (-1, -1)
    let result = unsafe withUnsafeMutableBytes(of: &ends) {
      unsafe mproc_queue_ends($0.bindMemory(to: Int32.self).baseAddress)
    }
    try Multiprocessing.check(result, "the ends of a queue")
    sender = QueueEnd(SharedDescriptor(ends.0), self.memory)
    receiver = QueueEnd(SharedDescriptor(ends.1), self.memory)
  }

  private init(_ memory: QueueMemory, sender: QueueEnd?, receiver: QueueEnd?) {
    self.memory = memory
    self.sender = sender
    self.receiver = receiver
  }

  var sending: QueueHandle { QueueHandle(memory, sender: sender, receiver: nil) }
  var receiving: QueueHandle { QueueHandle(memory, sender: nil, receiver: receiver) }

  // MARK: - Sending

  func send<Element: Transferable>(_ element: Element, _ limit: Duration?) throws {
    let (message, sender) = try prepare(element)
    let result = unsafe SharedWait.blocking(limit) { unsafe message.push(memory, sender, $0) }
    try check(result, message, limit)
  }

  func sendSuspended<Element: Transferable>(_ element: Element, _ limit: Duration?) async throws {
    let (message, sender) = try prepare(element)
    let result = unsafe try await SharedWait.suspended(limit) { [memory] in
      unsafe message.push(memory, sender, $0)
    }
    try check(result, message, limit)
  }

  func trySend<Element: Transferable>(_ element: Element) throws -> Bool {
    let (message, sender) = try prepare(element)
    let result = unsafe message.push(memory, sender, .none)
    if result == -ETIMEDOUT { return false }
    try check(result, message, nil)
    return true
  }

  private func prepare<Element: Transferable>(
    _ element: Element
  ) throws -> (OutgoingElement, QueueEnd) {
    guard let sender else { preconditionFailure("a receiver does not send") }
    return (try OutgoingElement(element), sender)
  }

  private func check(
    _ result: Int32, _ message: OutgoingElement, _ limit: Duration?
  ) throws(ProcessError) {
    guard result < 0 else { return }
    if result == -EFBIG {
      throw .notTransferable(
        TransferFailure(
          typeName: "an element of a queue",
          reason: "its \(message.byteCount) bytes are more than a queue can hold",
          cure: "send a handle of shared memory that holds them"))
    }
    throw error(result, limit, "sending to a queue")
  }

  // MARK: - Receiving

  func receive<Element: Transferable>(_ type: Element.Type, _ limit: Duration?) throws -> Element? {
    let (message, receiver) = (IncomingElement(), receiverEnd())
    let result = unsafe SharedWait.blocking(limit) { unsafe message.pop(memory, receiver, $0) }
    return try value(result, message, limit)
  }

  func receiveSuspended<Element: Transferable>(
    _ type: Element.Type, _ limit: Duration?
  ) async throws -> Element? {
    let (message, receiver) = (IncomingElement(), receiverEnd())
    let result = unsafe try await SharedWait.suspended(limit) { [memory] in
      unsafe message.pop(memory, receiver, $0)
    }
    return try value(result, message, limit)
  }

  func tryReceive<Element: Transferable>(_ type: Element.Type) throws -> Element? {
    let (message, receiver) = (IncomingElement(), receiverEnd())
    let result = unsafe message.pop(memory, receiver, .none)
    return try value(result == -ETIMEDOUT ? 0 : result, message, nil)
  }

  private func receiverEnd() -> QueueEnd {
    guard let receiver else { preconditionFailure("a sender does not receive") }
    return receiver
  }

  private func value<Element: Transferable>(
    _ result: Int32, _ message: IncomingElement, _ limit: Duration?
  ) throws -> Element? {
    if result == 0 { return nil }
    guard result > 0 else { throw error(result, limit, "receiving from a queue") }
    return try message.decode(Element.self)
  }

  private func error(_ result: Int32, _ limit: Duration?, _ operation: String) -> ProcessError {
    switch result {
    case -ETIMEDOUT: .timedOut(limit ?? .zero)
    case -EPIPE: .closed
    case -EPROTO: .damagedQueue
    default: .startFailed(Errno(rawValue: -result), operation: operation)
    }
  }

  // MARK: - Both

  func join(_ limit: Duration?) throws(ProcessError) {
    let result = unsafe SharedWait.blocking(limit) { unsafe mproc_queue_join(memory.queue, $0) }
    guard result == 0 else { throw error(result, limit, "joining a queue") }
  }

  func joinSuspended(_ limit: Duration?) async throws {
    let result = unsafe try await SharedWait.suspended(limit) { [memory] in
      unsafe mproc_queue_join(memory.queue, $0)
    }
    guard result == 0 else { throw error(result, limit, "joining a queue") }
  }

  func finish() { unsafe mproc_queue_finish(memory.queue) }

  func markDone() { _ = unsafe mproc_queue_mark_done(memory.queue) }

  var count: Int { Int(unsafe mproc_queue_count(memory.queue)) }
}

extension mproc_patience {
  /// An attempt: `MPROC_QUEUE_ATTEMPT`, a deadline that has passed, which waits for the lock alone.
  fileprivate static var none: mproc_patience {
    unsafe mproc_patience(deadline_ns: 1, cancelled: nil)
  }
}

// MARK: - Codable

extension QueueHandle {
  func encode(to encoder: any Encoder) throws {
    var container = encoder.unkeyedContainer()
    try container.encode(Named(memory.descriptor))
    if let sender { try container.encode(Named(sender.descriptor)) }
    if let receiver { try container.encode(Named(receiver.descriptor)) }
  }

  /// A handle with these ends that arrived from another process.
  init(from decoder: any Decoder, sends: Bool, receives: Bool) throws {
    var container = try decoder.unkeyedContainer()
    memory = try QueueMemory.of(try container.decode(Named.self).descriptor)
    sender =
      sends ? QueueEnd(try container.decode(Named.self).descriptor, memory) : nil
    receiver =
      receives ? QueueEnd(try container.decode(Named.self).descriptor, memory) : nil
  }

  /// A descriptor in an unkeyed container.
  private struct Named: Codable {
    let descriptor: SharedDescriptor

    init(_ descriptor: SharedDescriptor) { self.descriptor = descriptor }

    func encode(to encoder: any Encoder) throws { try descriptor.encode(to: encoder) }

    init(from decoder: any Decoder) throws {
      descriptor = try SharedDescriptor.decode(from: decoder)
    }
  }
}
