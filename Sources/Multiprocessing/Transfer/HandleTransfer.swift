// How handles of shared objects travel inside values: as a number, their descriptor beside the bytes.

/// The transfer of one value out of this process; collects the descriptors that the value names.
final class OutgoingTransfer: TransferContext {
  private(set) var descriptors: [SharedDescriptor] = []

  func add(_ descriptor: SharedDescriptor) {
    if !descriptors.contains(where: { $0 === descriptor }) { descriptors.append(descriptor) }
  }

  func removeAll() {
    if !descriptors.isEmpty { descriptors = [] }
  }
}

/// The transfer of one value into this process.
final class IncomingTransfer: TransferContext {
  /// What came with a message, by the sender's numbers; nil: descriptors were sent ahead, by number.
  private let message: [UInt64: SharedDescriptor]?
  /// Whether those that are not here yet are on their way.
  private let waits: Bool

  init(message: [UInt64: SharedDescriptor]) {
    self.message = message
    waits = false
  }

  /// - Parameter isArgument: Of a body in this process; else a result, for which nothing is sent ahead.
  init(isArgument: Bool = false) {
    message = nil
    waits = isArgument
  }

  func descriptor(_ number: UInt64) throws(ProcessError) -> SharedDescriptor {
    guard let message else { return try SharedDescriptors.shared.descriptor(number, waits: waits) }
    guard let descriptor = message[number] else {
      throw .notTransferable(
        TransferFailure(
          typeName: "a handle of a shared object", reason: "its descriptor did not come along",
          cure: "send the handle itself, and not bytes that were encoded elsewhere"))
    }
    return descriptor
  }
}

extension SharedDescriptor {
  /// Writes the number, and adds the descriptor to the transfer, which hands it over.
  func encode(to encoder: any Encoder) throws {
    let context = encoder.userInfo[TransferContext.key] as? TransferContext
    guard let context else {
      throw EncodingError.invalidValue(
        self,
        EncodingError.Context(
          codingPath: encoder.codingPath,
          debugDescription:
            "a handle of a shared object can only be sent to another process as part of an"
            + " argument or a message"))
    }
    (context as? OutgoingTransfer)?.add(self)
    var container = encoder.singleValueContainer()
    try container.encode(number)
  }

  static func decode(from decoder: any Decoder) throws -> SharedDescriptor {
    guard let context = decoder.userInfo[TransferContext.key] as? TransferContext else {
      throw DecodingError.dataCorrupted(
        DecodingError.Context(
          codingPath: decoder.codingPath,
          debugDescription:
            "a handle of a shared object can only arrive from another process of the same"
            + " application"))
    }
    let number = try decoder.singleValueContainer().decode(UInt64.self)
    guard let context = context as? IncomingTransfer else {
      return try SharedDescriptors.shared.descriptor(number, waits: false)
    }
    return try context.descriptor(number)
  }
}
