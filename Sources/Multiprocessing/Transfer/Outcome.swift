// How a body ended, as bytes: its result, or its error by the most exact form that can travel.

/// The first byte of an outcome. What follows a `value` is the encoded result, nothing for Void.
enum OutcomeTag: UInt8 {
  case value, thrown, remote, cancelled, notTransferable
}

/// Errors as bytes.
enum FailureCoding {
  private struct Failure: Codable {
    var typeName: String
    var reason: String
    var cure: String
  }

  /// Appends a failed outcome.
  static func encode(_ error: any Error, into writer: inout ByteWriter, _ context: TransferContext?)
  {
    let start = writer.count
    if error is CancellationError {
      writer.appendValue(OutcomeTag.cancelled)
    } else if case ProcessError.notTransferable(let failure) = error {
      writer.appendValue(OutcomeTag.notTransferable)
      let wire = Failure(typeName: failure.typeName, reason: failure.reason, cure: failure.cure)
      try? ValueCoding.encode(wire, into: &writer, context: nil)
    } else if let error = error as? any Error & Codable, encodeThrown(error, into: &writer, context)
    {
      return
    } else {
      writer.truncate(to: start)
      writer.appendValue(OutcomeTag.remote)
      // Strings cannot fail to encode.
      try? ValueCoding.encode(
        error as? RemoteError ?? RemoteError(error), into: &writer, context: nil)
    }
  }

  private static func encodeThrown<E: Error & Codable>(
    _ error: E, into writer: inout ByteWriter, _ context: TransferContext?
  ) -> Bool {
    guard let name = TypeName(E.self) else { return false }
    writer.appendValue(OutcomeTag.thrown)
    do {
      try ValueCoding.encode(name, into: &writer, context: nil)
      try ValueCoding.encode(error, into: &writer, context: context)
      return true
    } catch {
      return false
    }
  }

  /// The error that follows a tag other than `value`.
  static func decode(
    _ tag: OutcomeTag, from reader: inout ByteReader, _ context: TransferContext?
  ) -> any Error {
    do {
      switch tag {
      case .value: return ProcessError.damagedOutcome
      case .cancelled: return CancellationError()
      case .remote:
        return ProcessError.failed(
          try ValueCoding.decode(RemoteError.self, from: &reader, context: nil))
      case .notTransferable:
        let failure = try ValueCoding.decode(Failure.self, from: &reader, context: nil)
        return ProcessError.notTransferable(
          TransferFailure(typeName: failure.typeName, reason: failure.reason, cure: failure.cure))
      case .thrown:
        let name = try ValueCoding.decode(TypeName.self, from: &reader, context: nil)
        guard let type = name.resolve() as? any (Error & Codable).Type else {
          return ProcessError.damagedOutcome
        }
        func decodeThrown<E: Error & Codable>(_ type: E.Type) throws -> any Error {
          try ValueCoding.decode(type, from: &reader, context: context)
        }
        return try decodeThrown(type)
      }
    } catch let error as ProcessError {
      // An error with a handle of what is not here.
      return error
    } catch {
      return ProcessError.damagedOutcome
    }
  }

  /// The tag at the reader, which moves behind it; nil when there is none or it is none of ours.
  static func readTag(_ reader: inout ByteReader) -> OutcomeTag? {
    (try? reader.readValue(as: UInt8.self)).flatMap(OutcomeTag.init)
  }
}

extension ProcessError {
  /// What a process wrote that then makes no sense.
  static var damagedOutcome: ProcessError {
    .notTransferable(
      TransferFailure(
        typeName: "the outcome", reason: "what arrived from the process is damaged",
        cure: "look for code in the body that writes outside its own memory"))
  }
}
