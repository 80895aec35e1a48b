// Where the outcomes of submitted items go.

internal import Synchronization

/// How an item ended without a value.
enum ItemFailure: Sendable {
  /// The body's own failed outcome, still encoded.
  case outcome([UInt8])
  case crashed(CrashReport)
  case cancelled
  case error(any Error)
}

/// What a caller waits for. The methods are called with a channel locked: they store and return, and run no
/// code of the user's; who is to be woken is in their result.
class PoolJob: @unchecked Sendable {  // Subclasses guard their state with a lock.
  /// The body that all items of the job run.
  final let body: PoolBody
  /// Why the job was ended from outside; what its items then end with.
  private let end = Mutex<ItemFailure?>(nil)
  /// Its number in a trace; 0: none yet.
  final let traceNumber = Atomic<UInt64>(0)

  init(_ body: PoolBody) {
    self.body = body
  }

  final var isEnded: Bool { end.withLock { $0 != nil } }

  /// The first reason counts.
  final func endWith(_ reason: ItemFailure) {
    end.withLock { end in
      if end == nil { end = reason }
    }
  }

  final func reasonForEnd() -> ItemFailure? { end.withLock { $0 } }

  /// Results of the items from `first` on, one after the other. False when they make no sense.
  func receive(first: Int, count: Int, _ bytes: UnsafeRawBufferPointer) -> Bool {
    fatalError("abstract")
  }

  /// `count` items from `first` on end without a value.
  func fail(first: Int, count: Int, _ failure: ItemFailure) { fatalError("abstract") }

  /// Whether a result can be seen as soon as it is received, before `recordsEnded`.
  var showsAtOnce: Bool { true }

  /// Whether the failure of an item leaves those beside it as they are.
  var continuesAfterFailure: Bool { false }

  /// So many records, of so many items in all, will bring no more.
  func recordsEnded(_ records: Int, items: Int) {}

  /// Whether a crash report names the item.
  var reportsIndex: Bool { false }

  /// A worker measured an item of the job, in nanoseconds. False: the job keeps no account of its own.
  func noteItemTime(_ sample: Int) -> Bool { false }

  /// What it is called in a trace.
  var kind: String { fatalError("abstract") }

  /// Whether it is for one worker, or its successor, alone.
  var isBound: Bool { false }

  /// Whether the items from `first` on, which have not run, may still run.
  func wants(_ first: Int) -> Bool { !isEnded }

  /// Wakes who waits, if there is something to wake for; called after all locks are released.
  func wake() {}
}

/// Reads `count` values without references, packed one after the other, into `target`. False when the bytes
/// are not exactly that.
func unpackBytes<T>(
  _ bytes: UnsafeRawBufferPointer, _ count: Int, into target: UnsafeMutablePointer<T>
) -> Bool {
  let size = MemoryLayout<T>.size
  guard bytes.count == count * size else { return false }
  guard size > 0, let source = bytes.baseAddress else { return true }
  if T.self == Bool.self {
    guard unsafe bytes.allSatisfy({ $0 <= 1 }) else { return false }
  }
  if size == MemoryLayout<T>.stride {
    unsafe UnsafeMutableRawPointer(target).copyMemory(from: source, byteCount: bytes.count)
  } else {
    for index in 0..<count {
      unsafe UnsafeMutableRawPointer(target + index).copyMemory(
        from: source + index * size, byteCount: size)
    }
  }
  return true
}
