// What crosses a connection: one SEQPACKET message for each value, so that a sender that dies leaves all of it
// or nothing.

internal import CMultiprocessing
internal import Glibc

/// The beginning of a message; the numbers of the descriptors that come along follow, then the value.
struct MessageHeader: BitwiseCopyable {
  enum Kind {
    static let value: UInt32 = 1
    /// The value's bytes are in the memfd that is the first descriptor.
    static let largeValue: UInt32 = 2
    /// A descriptor for its own sake.
    static let descriptor: UInt32 = 3
  }

  struct Entry: BitwiseCopyable {
    var number: UInt64
    /// Of memory; else 0.
    var byteCount: UInt64
  }

  var kind: UInt32
  /// Of the descriptors that the value names.
  var entryCount: UInt32
  /// Of the value.
  var byteCount: UInt64
  /// Of the memory that the receiver is to free when it has read a large value; 0: it is used this once.
  var memoryByteCount: UInt64

  static let mostEntries = Int(MPROC_MESSAGE_DESCRIPTORS) - 1
  /// Larger values travel in memory of their own.
  static let inlineLimit = 65_536
  static let bufferBytes =
    MemoryLayout<MessageHeader>.size + mostEntries * MemoryLayout<Entry>.size + inlineLimit
}

/// A message on its way out, which may have to wait for room.
final class OutgoingMessage: @unchecked Sendable {  // One thread at a time.
  private var writer: ByteWriter
  private let memories: MessageMemories?
  private let header: MessageHeader
  private let entries: [MessageHeader.Entry]
  private let rawDescriptors: [Int32]
  /// Open until the message is sent.
  private let descriptors: [SharedDescriptor]

  init(
    _ memories: MessageMemories, _ encode: (inout ByteWriter, OutgoingTransfer) throws -> Void
  ) throws {
    let transfer = OutgoingTransfer()
    var writer = unsafe ByteWriter(
      region: UnsafeMutableRawBufferPointer(start: nil, count: 0),
      memoryLimit: MessageHeader.inlineLimit, memories: memories)
    try encode(&writer, transfer)
    descriptors = transfer.descriptors
    guard descriptors.count <= MessageHeader.mostEntries else {
      throw ProcessError.invalidConfiguration(
        "a message with \(descriptors.count) handles of shared objects: send at most"
          + " \(MessageHeader.mostEntries) in one")
    }
    let isLarge = writer.count > MessageHeader.inlineLimit
    if isLarge, writer.memory == nil {
      throw ProcessError.noSharedMemory(writer.count, for: "a message")
    }
    let memory = isLarge ? writer.memory : nil
    memory?.seal()
    header = MessageHeader(
      kind: isLarge ? MessageHeader.Kind.largeValue : MessageHeader.Kind.value,
      entryCount: UInt32(descriptors.count), byteCount: UInt64(writer.count),
      memoryByteCount: UInt64(memory?.sharedByteCount ?? 0))
    entries = descriptors.map {
      MessageHeader.Entry(number: $0.number, byteCount: UInt64($0.byteCount))
    }
    rawDescriptors = (memory.map { [$0.descriptor] } ?? []) + descriptors.map(\.rawValue)
    self.writer = writer
    self.memories = memories
  }

  /// A descriptor for its own sake.
  init(_ descriptor: Int32) {
    writer = unsafe ByteWriter(region: UnsafeMutableRawBufferPointer(start: nil, count: 0))
    header = MessageHeader(
      kind: MessageHeader.Kind.descriptor, entryCount: 0, byteCount: 0, memoryByteCount: 0)
    memories = nil
    entries = []
    rawDescriptors = [descriptor]
    descriptors = []
  }

  /// 0, -EAGAIN when there is no room, or another error.
  func send(to socket: Int32) -> Int32 {
    let result = trySend(to: socket)
    let isLarge = header.kind == MessageHeader.Kind.largeValue
    if result == 0, isLarge, let memory = writer.handOver() { memories?.keep(memory) }
    return result
  }

  private func trySend(to socket: Int32) -> Int32 {
    unsafe withUnsafeBytes(of: header) { header in
      unsafe entries.withUnsafeBytes { entries in
        unsafe writer.withBytes { bytes in
          let isInline = self.header.kind == MessageHeader.Kind.value
          let pieces = unsafe (
            mproc_piece(bytes: header.baseAddress, size: header.count),
            mproc_piece(bytes: entries.baseAddress, size: entries.count),
            mproc_piece(bytes: bytes.baseAddress, size: isInline ? bytes.count : 0)
          )
          return unsafe withUnsafePointer(to: pieces) { pieces in
            unsafe mproc_try_send_message(
              socket, UnsafeRawPointer(pieces).assumingMemoryBound(to: mproc_piece.self), 3,
              rawDescriptors, Int32(rawDescriptors.count))
          }
        }
      }
    }
  }
}

/// A message that has arrived.
enum IncomingMessage<Value> {
  case value(Value)
  /// A descriptor for its own sake, which is the receiver's now.
  case descriptor(Int32)
  case none
  case end
}

extension IncomingMessage {
  /// Takes a message from the socket, if there is one.
  ///
  /// - Throws: What `decode` throws, and `.startFailed` when this process cannot have the descriptors; the message is
  ///   gone then.
  static func receive(
    from socket: Int32, _ decode: (inout ByteReader, IncomingTransfer) throws -> Value
  ) throws -> IncomingMessage {
    try unsafe withUnsafeTemporaryAllocation(
      byteCount: MessageHeader.bufferBytes, alignment: 16
    ) { buffer in
      try unsafe withUnsafeTemporaryAllocation(
        of: Int32.self, capacity: Int(MPROC_MESSAGE_DESCRIPTORS)
      ) { descriptors in
        var count = Int32(descriptors.count)
        let size = unsafe mproc_receive_message(
          socket, buffer.baseAddress, buffer.count, descriptors.baseAddress, &count,
          Int32(MSG_DONTWAIT))
        if size == 0 { return .end }
        if size == -Int(EAGAIN) { return .none }
        try check(Int32(clamping: min(size, 0)), "receiving a message")
        let arrived = unsafe ArrivedDescriptors(descriptors.prefix(Int(count)))
        return try unsafe read(
          UnsafeRawBufferPointer(rebasing: buffer[..<size]), arrived, decode)
      }
    }
  }

  private static func read(
    _ bytes: UnsafeRawBufferPointer, _ arrived: consuming ArrivedDescriptors,
    _ decode: (inout ByteReader, IncomingTransfer) throws -> Value
  ) throws -> IncomingMessage {
    var reader = unsafe ByteReader(bytes)
    let header = try reader.readValue(as: MessageHeader.self)
    if header.kind == MessageHeader.Kind.descriptor { return .descriptor(try arrived.takeFirst()) }
    let isLarge = header.kind == MessageHeader.Kind.largeValue
    let file = isLarge ? try arrived.takeFirst() : -1
    defer { if isLarge { _ = mproc_close(file) } }
    var named: [UInt64: SharedDescriptor] = [:]
    for _ in 0..<header.entryCount {
      let entry = try reader.readValue(as: MessageHeader.Entry.self)
      guard let byteCount = Int(exactly: entry.byteCount) else { throw ProcessError.damagedOutcome }
      named[entry.number] = SharedDescriptor(try arrived.takeFirst(), byteCount: byteCount)
    }
    let transfer = IncomingTransfer(message: named)
    guard isLarge else { return .value(try decode(&reader, transfer)) }
    return .value(try readLarge(header, file, transfer, decode))
  }

  private static func readLarge(
    _ header: MessageHeader, _ file: Int32, _ transfer: IncomingTransfer,
    _ decode: (inout ByteReader, IncomingTransfer) throws -> Value
  ) throws -> Value {
    guard let byteCount = Int(exactly: header.byteCount),
      let memoryByteCount = Int(exactly: header.memoryByteCount)
    else { throw ProcessError.damagedOutcome }
    let arrived = ArrivedMemory(
      descriptor: file, byteCount: byteCount, memoryByteCount: memoryByteCount)
    func decodeBytes(_ bytes: UnsafeRawBufferPointer) throws -> Value {
      var reader = unsafe ByteReader(bytes)
      return try decode(&reader, transfer)
    }
    return unsafe DirectSlot.isReadOnce(Value.self) && mproc_memfd_is_sealed(file)
      ? try arrived.withMapped(decodeBytes) : try arrived.withCopy(decodeBytes)
  }
}

/// Descriptors that nobody has taken yet; closed with this.
private struct ArrivedDescriptors: ~Copyable {
  private var rest: ArraySlice<Int32>

  init(_ descriptors: Slice<UnsafeMutableBufferPointer<Int32>>) {
    rest = unsafe ArraySlice(descriptors)
  }

  mutating func takeFirst() throws(ProcessError) -> Int32 {
    guard let first = rest.popFirst() else { throw .damagedOutcome }
    return first
  }

  deinit {
    for descriptor in rest { _ = mproc_close(descriptor) }
  }
}
