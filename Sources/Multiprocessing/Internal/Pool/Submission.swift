// What is submitted to a worker: some items of a job, and their encoded arguments.

internal import CMultiprocessing

/// Items that travel in one record.
struct Submission {
  let job: PoolJob
  /// The position in the job of the first item.
  var first: Int
  var count: Int
  var isTimed: Bool
  /// The shared memory that the arguments name; nil: none.
  var mappings: MappingList?
}

/// Pieces of shared memory, at least one.
final class MappingList: Sendable {
  let mappings: [SharedMapping]

  init?(_ mappings: [SharedMapping]) {
    guard !mappings.isEmpty else { return nil }
    self.mappings = mappings
  }
}

/// Encoded arguments that wait to be copied into shared memory.
final class EncodedArguments: @unchecked Sendable {  // Written once, in init.
  private let writer: ByteWriter
  /// The shared memory that they name.
  let mappings: MappingList?

  init(_ encode: (inout ByteWriter, OutgoingTransfer) throws -> Void) rethrows {
    let context = OutgoingTransfer()
    var writer = unsafe ByteWriter(region: UnsafeMutableRawBufferPointer(start: nil, count: 0))
    try encode(&writer, context)
    self.writer = writer
    mappings = MappingList(context.mappings)
  }

  /// A copy of `bytes`.
  convenience init(copying bytes: UnsafeRawBufferPointer) {
    self.init { writer, _ in unsafe writer.append(bytes) }
  }

  var byteCount: Int { writer.count }

  func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
    unsafe writer.withBytes { unsafe body($0) }
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
