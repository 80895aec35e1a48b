// Arguments on their way into a ring.

/// Encoded arguments that wait to be copied into shared memory, and the shared memory that they name.
final class EncodedArguments: @unchecked Sendable {  // Written once, in init.
  private let writer: ByteWriter
  let mappings: [SharedMapping]

  init(_ encode: (inout ByteWriter, OutgoingTransfer) throws -> Void) rethrows {
    let context = OutgoingTransfer()
    var writer = unsafe ByteWriter(region: UnsafeMutableRawBufferPointer(start: nil, count: 0))
    try encode(&writer, context)
    self.writer = writer
    mappings = context.mappings
  }

  /// A copy of `bytes`.
  convenience init(copying bytes: UnsafeRawBufferPointer) {
    self.init { writer, _ in unsafe writer.append(bytes) }
  }

  func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
    unsafe writer.withBytes { unsafe body($0) }
  }
}

/// The arguments of a record.
enum RecordArguments {
  /// Written straight into the ring, by code of ours alone.
  case direct((inout ByteWriter) -> Void)
  case encoded(EncodedArguments)

  /// For a record that has to wait.
  func encoded() -> EncodedArguments {
    switch self {
    case .direct(let fill): EncodedArguments { writer, _ in fill(&writer) }
    case .encoded(let arguments): arguments
    }
  }
}

/// A record that waits for a worker.
struct PendingRecord {
  var submission: Submission
  var arguments: EncodedArguments

  init(_ submission: Submission, _ arguments: EncodedArguments) {
    self.submission = submission
    self.arguments = arguments
  }
}

/// A type whose values are decoded by code of ours alone.
protocol PlainlyDecoded {
  static var isPlainlyDecoded: Bool { get }
}

extension Array: PlainlyDecoded {
  static var isPlainlyDecoded: Bool { ValueCoding.isBytes(Element.self) }
}

extension String: PlainlyDecoded {
  static var isPlainlyDecoded: Bool { true }
}
