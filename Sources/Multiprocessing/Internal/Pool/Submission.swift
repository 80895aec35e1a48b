// What is submitted to a worker: some items of a job, and their encoded arguments.

internal import CMultiprocessing

/// Items that travel in one record.
struct Submission {
  let job: PoolJob
  /// The position in the job of the first item.
  var first: Int
  var count: Int
  var isTimed: Bool
  /// nil: nothing of it.
  var extras: RecordExtras?

  /// Whether its items, which have not run, may still run.
  var isWanted: Bool { job.wants(first) }
}

/// What few records have: handles of shared objects, a need to be taken apart, a history.
final class RecordExtras: Sendable {
  let descriptors: [SharedDescriptor]
  let boundaries: ItemBoundaries?
  /// How often its first item has been run already.
  let attempts: Int

  private init(_ descriptors: [SharedDescriptor], _ boundaries: ItemBoundaries?, _ attempts: Int) {
    self.descriptors = descriptors
    self.boundaries = boundaries
    self.attempts = attempts
  }

  /// nil when there is nothing to keep.
  static func make(
    _ descriptors: [SharedDescriptor], _ boundaries: ItemBoundaries? = nil, attempts: Int = 0
  ) -> RecordExtras? {
    if descriptors.isEmpty, boundaries == nil, attempts == 0 { return nil }
    return RecordExtras(descriptors, boundaries, attempts)
  }
}

/// Where the items of a record lie in its arguments: what is needed to send a part of it again. Kept in the
/// application, so it can be trusted.
enum ItemBoundaries {
  /// All have this many bytes.
  case uniform(Int)
  /// Where each ends.
  case ends([Int])

  /// The bytes of `count` items from `first` on.
  func bytes(_ first: Int, _ count: Int) -> Range<Int> {
    switch self {
    case .uniform(let size): first * size..<(first + count) * size
    case .ends(let ends): (first == 0 ? 0 : ends[first - 1])..<ends[first + count - 1]
    }
  }

  /// The boundaries of such a part.
  func part(_ first: Int, _ count: Int) -> ItemBoundaries? {
    guard count > 1 else { return nil }
    switch self {
    case .uniform: return self
    case .ends(let ends):
      let start = first == 0 ? 0 : ends[first - 1]
      return .ends(ends[first..<first + count].map { $0 - start })
    }
  }
}

/// Encoded arguments that wait to be copied into shared memory.
final class EncodedArguments: @unchecked Sendable {  // Written once, in init.
  private let writer: ByteWriter
  /// Those of the shared objects that they name.
  let descriptors: [SharedDescriptor]

  init(_ encode: (inout ByteWriter, OutgoingTransfer) throws -> Void) rethrows {
    let context = OutgoingTransfer()
    var writer = unsafe ByteWriter(region: UnsafeMutableRawBufferPointer(start: nil, count: 0))
    try encode(&writer, context)
    self.writer = writer
    descriptors = context.descriptors
  }

  static let none = EncodedArguments { _, _ in }

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

  /// Some of its items, as a record of their own.
  func part(_ first: Int, _ count: Int, attempts: Int) -> PendingRecord {
    var submission = submission
    let boundaries = submission.extras?.boundaries
    submission.first += first
    submission.count = count
    submission.extras = RecordExtras.make(
      submission.extras?.descriptors ?? [], boundaries?.part(first, count), attempts: attempts)
    guard let range = boundaries?.bytes(first, count) else {
      precondition(self.submission.count == 1, "a record that cannot be taken apart")
      return PendingRecord(submission, arguments)
    }
    return unsafe PendingRecord(
      submission,
      arguments.withBytes { bytes in
        unsafe EncodedArguments(copying: UnsafeRawBufferPointer(rebasing: bytes[range]))
      })
  }
}
