// An element of a queue on its way: its bytes, and the descriptors of the shared objects that it names.
//
// The bytes end with a number and a size for each descriptor, in their order, where there are any.

internal import CMultiprocessing
internal import Glibc

/// An encoded element.
final class OutgoingElement: @unchecked Sendable {  // Written once, in init.
  private let writer: ByteWriter
  /// Open until it is sent.
  private let descriptors: [SharedDescriptor]

  fileprivate struct Name: BitwiseCopyable {
    var number: UInt64
    /// Of memory; else 0.
    var byteCount: UInt64
  }

  init<Element: Transferable>(_ element: Element) throws {
    var writer = unsafe ByteWriter(region: UnsafeMutableRawBufferPointer(start: nil, count: 0))
    let transfer = OutgoingTransfer()
    try encodeResult(element, into: &writer, transfer)
    descriptors = transfer.descriptors
    guard descriptors.count <= Int(MPROC_QUEUE_DESCRIPTORS) else {
      throw ProcessError.notTransferable(
        TransferFailure(
          typeName: "\(Element.self)",
          reason: "it names shared objects with \(descriptors.count) descriptors, and an element"
            + " carries \(MPROC_QUEUE_DESCRIPTORS)",
          cure: "send them in several elements"))
    }
    for descriptor in descriptors {
      writer.appendValue(
        Name(number: descriptor.number, byteCount: UInt64(descriptor.byteCount)))
    }
    self.writer = writer
  }

  var byteCount: Int { writer.count }

  /// The C core's result.
  func push(_ memory: QueueMemory, _ sender: QueueEnd, _ patience: mproc_patience) -> Int32 {
    let raw = descriptors.map(\.rawValue)
    return unsafe writer.withBytes { bytes in
      unsafe raw.withUnsafeBufferPointer { raw in
        unsafe mproc_queue_push(
          memory.queue, sender.descriptor.rawValue, bytes.baseAddress, bytes.count,
          raw.baseAddress, Int32(raw.count), patience)
      }
    }
  }
}

/// Room for an element that arrives.
@safe
final class IncomingElement: @unchecked Sendable {  // One owner: who receives.
  private var element = unsafe mproc_queue_element()
  /// So many of the descriptors are somebody else's by now.
  private var taken = 0

  /// The C core's result.
  func pop(_ memory: QueueMemory, _ receiver: QueueEnd, _ patience: mproc_patience) -> Int32 {
    unsafe mproc_queue_pop(memory.queue, receiver.descriptor.rawValue, &element, patience)
  }

  deinit {
    while unsafe taken < Int(element.descriptor_count) { _ = mproc_close(takeDescriptor()) }
    unsafe free(element.descriptors)
    unsafe free(element.bytes)
  }

  private func takeDescriptor() -> Int32 {
    defer { taken += 1 }
    return unsafe element.descriptors[taken]
  }

  /// The value, after a pop that brought one.
  func decode<Element: Transferable>(_ type: Element.Type) throws -> Element {
    let bytes = unsafe UnsafeRawBufferPointer(start: element.bytes, count: element.size)
    guard unsafe element.descriptor_count > 0 else {
      var reader = unsafe ByteReader(bytes)
      return try decodeArgument(type, from: &reader, nil)
    }
    let count = unsafe Int(element.descriptor_count)
    let end = bytes.count - count * MemoryLayout<OutgoingElement.Name>.size
    guard end >= 0 else { throw ProcessError.damagedQueue }
    var named: [UInt64: SharedDescriptor] = [:]
    var names = unsafe ByteReader(UnsafeRawBufferPointer(rebasing: bytes[end...]))
    for _ in 0..<count {
      let name = try names.readValue(as: OutgoingElement.Name.self)
      guard let byteCount = Int(exactly: name.byteCount) else { throw ProcessError.damagedQueue }
      named[name.number] = SharedDescriptor(takeDescriptor(), byteCount: byteCount)
    }
    var reader = unsafe ByteReader(UnsafeRawBufferPointer(rebasing: bytes[..<end]))
    return try decodeArgument(type, from: &reader, IncomingTransfer(message: named))
  }
}

extension ProcessError {
  static let damagedQueue = ProcessError.failed(
    RemoteError(
      typeName: "SharedQueue", message: "the memory of the queue has been overwritten"))
}
