// One item and its caller: a `run`, or one worker's part of a `broadcast`.

internal import Synchronization

/// Not generic: looking up the metadata of a generic type costs as much as the rest of a short run.
class RunJob: PoolJob, @unchecked Sendable {  // A mutex guards all that changes.
  private struct State {
    var end: End?
    var waiter: CheckedContinuation<Void, Never>?
  }

  private enum End {
    /// Encoded, and short.
    case inline(InlineBytes)
    case bytes([UInt8])
    /// The job's `receiver` holds it.
    case received
    case failure(ItemFailure)
  }

  private let state = Mutex(State())
  private let done = Atomic<Bool>(false)
  private let receiver: ResultReceiver?
  private let isForOneWorker: Bool

  init(_ body: PoolBody, _ receiver: ResultReceiver?, isBound: Bool = false) {
    self.receiver = receiver
    isForOneWorker = isBound
    super.init(body)
  }

  override var isBound: Bool { isForOneWorker }

  override var kind: String { isForOneWorker ? "broadcast" : "run" }

  final var isDone: Bool { done.load(ordering: .acquiring) }

  override func receive(first: Int, count: Int, _ bytes: UnsafeRawBufferPointer) -> Bool {
    guard count == 1, !isDone else { return false }
    if let receiver {
      guard unsafe receiver.receive(bytes) else { return false }
      finish(.received)
    } else if let inline = unsafe InlineBytes(bytes) {
      finish(.inline(inline))
    } else {
      finish(.bytes(unsafe [UInt8](bytes)))
    }
    return true
  }

  override func fail(first: Int, count: Int, _ failure: ItemFailure) { finish(.failure(failure)) }

  private func finish(_ end: End) {
    state.withLock { state in
      guard state.end == nil else { return }
      state.end = end
      done.store(true, ordering: .releasing)
    }
  }

  override func wake() {
    let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
      guard state.end != nil, let waiter = state.waiter else { return nil }
      state.waiter = nil
      return waiter
    }
    waiter?.resume()
  }

  final func wait() async {
    await withCheckedContinuation { continuation in
      let isDone = state.withLock { state in
        if state.end == nil { state.waiter = continuation }
        return state.end != nil
      }
      if isDone { continuation.resume() }
    }
  }

  /// How it ended; nil: with a value, or it has not ended.
  final var failure: (any Error)? {
    guard case .failure(let failure)? = state.withLock({ $0.end }) else { return nil }
    return failure.error
  }

  /// The result, once it is done.
  final func result<R>(_ decode: (inout ByteReader) throws -> R) throws -> R {
    switch state.withLock({ $0.end }) {
    case .inline(let bytes)?:
      return try unsafe bytes.withBytes { bytes in
        var reader = unsafe ByteReader(bytes)
        return try decode(&reader)
      }
    case .bytes(let bytes)?:
      return try unsafe bytes.withUnsafeBytes { bytes in
        var reader = unsafe ByteReader(bytes)
        return try decode(&reader)
      }
    case .received?:
      guard let value = receiver?.value(as: R.self) else { throw ProcessError.damagedOutcome }
      return value
    case .failure(let failure)?: throw failure.error
    case nil: throw ProcessError.closed
    }
  }
}

/// The bytes of a short result, without memory of their own.
private struct InlineBytes {
  private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
  private var count: Int

  /// nil when there are too many.
  init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count <= MemoryLayout.size(ofValue: words) else { return nil }
    count = bytes.count
    unsafe withUnsafeMutableBytes(of: &words) { unsafe $0.copyMemory(from: bytes) }
  }

  func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    try unsafe withUnsafeBytes(of: words) {
      try unsafe body(UnsafeRawBufferPointer(rebasing: $0[..<count]))
    }
  }
}

/// Takes a result straight out of shared memory; only for types that are decoded by code of ours alone.
class ResultReceiver: @unchecked Sendable {  // Written once, before the job is done.
  /// False when the bytes are no such value.
  func receive(_ bytes: UnsafeRawBufferPointer) -> Bool { fatalError("abstract") }
  func value<R>(as type: R.Type) -> R? { fatalError("abstract") }
}

private final class DirectReceiver<Output: Transferable>: ResultReceiver, @unchecked Sendable {
  private var value: Output?

  override func value<R>(as type: R.Type) -> R? { value as? R }

  override func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var reader = unsafe ByteReader(bytes)
    value = try? decodeArgument(Output.self, from: &reader, nil)
    return value != nil
  }
}

/// Where a result of this type goes; nil: it is kept encoded, and decoded by the caller.
func receiver<Output: Transferable>(for type: Output.Type) -> ResultReceiver? {
  if ValueCoding.isBytes(type) { return nil }
  guard let plain = type as? any PlainlyDecoded.Type, plain.isPlainlyDecoded else { return nil }
  return DirectReceiver<Output>()
}

/// A type whose values may be decoded by code of ours alone.
protocol PlainlyDecoded {
  static var isPlainlyDecoded: Bool { get }
}

extension Array: PlainlyDecoded {
  static var isPlainlyDecoded: Bool { ValueCoding.isBytes(Element.self) }
}

extension String: PlainlyDecoded {
  static var isPlainlyDecoded: Bool { true }
}

extension ItemFailure {
  /// What the caller gets.
  var error: any Error {
    switch self {
    case .cancelled: return CancellationError()
    case .error(let error): return error
    case .crashed(let report): return ProcessError.crashed(report)
    case .outcome(let bytes):
      return unsafe bytes.withUnsafeBytes { bytes in
        var reader = unsafe ByteReader(bytes)
        guard let tag = FailureCoding.readTag(&reader) else { return ProcessError.damagedOutcome }
        return FailureCoding.decode(tag, from: &reader, IncomingTransfer())
      }
    }
  }
}
