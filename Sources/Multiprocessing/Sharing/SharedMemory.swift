// Bytes that several processes map.

/// Bytes that several processes map (a memfd); filled with zeros at first.
///
/// The handle is `Codable` and can sit anywhere inside an argument: the worker maps the same memory. Access
/// from several processes at once needs a lock or disjoint ranges. The memory is gone with the last handle in
/// the last process, whatever ends that process; nothing with a name is left behind.
public final class SharedMemory: Codable, Sendable {
  let mapping: SharedMapping

  init(_ mapping: SharedMapping) {
    self.mapping = mapping
  }

  /// - Parameter node: The NUMA node that the pages come from, whichever process touches them first, and from
  ///   nowhere else: when its memory is full, touching a new page ends the process as running out of memory does.
  ///   nil: each page comes from the node of the CPU that touches it first.
  /// - Throws: `.invalidConfiguration` for a negative size and for a node that is not there or has no memory;
  ///   `.startFailed` when the cpuset forbids the node, and when there is no memory or address space.
  public convenience init(byteCount: Int, node: Int? = nil) throws(ProcessError) {
    self.init(try SharedMapping(byteCount: byteCount, node: node))
  }

  public var byteCount: Int { mapping.byteCount }

  /// The memfd, owned by this object.
  public var descriptor: FileDescriptor { FileDescriptor(rawValue: mapping.descriptor) }

  public func withBytes<R: ~Copyable, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
    let bytes = unsafe UnsafeRawBufferPointer(start: mapping.base, count: mapping.byteCount)
    return unsafe try body(bytes.bytes)
  }

  public func withMutableBytes<R: ~Copyable, E: Error>(
    _ body: (inout MutableRawSpan) throws(E) -> R
  ) throws(E) -> R {
    let bytes = unsafe UnsafeMutableRawBufferPointer(start: mapping.base, count: mapping.byteCount)
    var span = unsafe bytes.mutableBytes
    return try body(&span)
  }

  // MARK: - Codable

  /// Throws `EncodingError` outside a transfer to another process.
  public func encode(to encoder: any Encoder) throws {
    try mapping.encode(to: encoder)
  }

  /// Throws `DecodingError` outside a transfer to another process.
  public convenience init(from decoder: any Decoder) throws {
    self.init(try SharedMapping.decode(from: decoder))
  }
}

extension SharedMapping {
  /// Writes the memory's number, and adds it to the transfer, which hands the descriptor over.
  func encode(to encoder: any Encoder) throws {
    let context = encoder.userInfo[TransferContext.key] as? TransferContext
    guard let context else {
      throw EncodingError.invalidValue(
        self,
        EncodingError.Context(
          codingPath: encoder.codingPath,
          debugDescription:
            "a handle of shared memory can only be sent to another process as part of an"
            + " argument or a message"))
    }
    (context as? OutgoingTransfer)?.add(self)
    var container = encoder.singleValueContainer()
    try container.encode(number)
  }

  static func decode(from decoder: any Decoder) throws -> SharedMapping {
    guard decoder.userInfo[TransferContext.key] is TransferContext else {
      throw DecodingError.dataCorrupted(
        DecodingError.Context(
          codingPath: decoder.codingPath,
          debugDescription:
            "a handle of shared memory can only arrive from another process of the same"
            + " application"))
    }
    return try AttachedMemory.shared.mapping(try decoder.singleValueContainer().decode(UInt64.self))
  }
}
