// The records in a worker's rings. Both sides are the same executable, so these structs are their bytes.

/// Kinds of records from the application.
enum SubmissionKind {
  /// A body's number and its encoded `BodyName`.
  static let define: UInt32 = 1
  /// A `TaskHeader` and the arguments of its items, one after the other.
  static let tasks: UInt32 = 2
  /// The worker ends when it reaches this.
  static let stop: UInt32 = 3
}

/// Kinds of records from a worker.
enum CompletionKind {
  /// A `CompletionHeader` and the results of its items, one after the other.
  static let values: UInt32 = 1
  /// A `CompletionHeader` of one item and its failed outcome, which ends the record.
  static let failure: UInt32 = 2
}

/// Some items to call one body on.
struct TaskHeader: BitwiseCopyable {
  /// Counts this worker's records, from 1.
  var number: UInt64
  var body: UInt32
  var count: UInt32
  var flags: UInt32
  var reserved: UInt32 = 0

  /// An `ArenaReference` stands in the record in place of the arguments.
  static let isInArena: UInt32 = 1
  /// The completion tells how long the items took.
  static let isTimed: UInt32 = 4
  /// The last completion tells when.
  static let isTraced: UInt32 = 8
}

/// The outcome of some of a record's items.
struct CompletionHeader: BitwiseCopyable {
  var number: UInt64
  /// The position in the record of the first item.
  var first: UInt32
  var count: UInt32
  var flags: UInt32
  /// For the whole record, where it was asked for; at most 4.29 s, more is that.
  var nanoseconds: UInt32 = 0

  static let isInArena: UInt32 = 1
  /// The record is done: every item has a value, or this one ended it and those behind it were not run.
  static let isLast: UInt32 = 2
  /// The record ends with `RecordTimes`.
  static let hasTimes: UInt32 = 4
}

/// When a worker began and ended a record, in nanoseconds of `mproc_now_ns`.
struct RecordTimes: BitwiseCopyable {
  var began: UInt64
  var ended: UInt64
}

/// Bytes outside the ring.
struct ArenaReference: BitwiseCopyable {
  var offset: UInt64
  var byteCount: UInt64
  var position: UInt64
}

/// What a pool worker is told at its start besides descriptors.
struct WorkerParameters: BitwiseCopyable {
  /// How long it spins for the next record before it sleeps.
  var spinNanoseconds: UInt64
  /// How many CPUs pools of its own may take it that they have.
  var cpuBudget: UInt64
}
