// One `run`: one item, one caller.

internal import Synchronization

/// What is known of a run. Not generic, and outside of the generic class: looking up the metadata of a generic
/// type costs as much as the rest of a short run.
private struct RunState {
  enum Outcome {
    /// The job's `value` holds it.
    case value
    case bytes([UInt8])
    case failure(ItemFailure)
  }

  var outcome: Outcome?
  var waiter: CheckedContinuation<Void, Never>?
}

final class RunJob<Output>: PoolJob, @unchecked Sendable {  // `state` guards all that changes.
  private let state = Guarded(RunState())
  private let done = Atomic<Bool>(false)
  private let decoder: ResultDecoder<Output>
  /// Written once, before `done`.
  private var value: Output?

  init(_ decoder: @escaping ResultDecoder<Output>) {
    self.decoder = decoder
  }

  var isDone: Bool { done.load(ordering: .acquiring) }

  override func receive(first: Int, count: Int, _ bytes: UnsafeRawBufferPointer) -> Bool {
    guard count == 1, !isDone else { return false }
    if ValueCoding.isBytes(Output.self) || isPlainlyDecoded {
      var reader = unsafe ByteReader(bytes)
      guard let value = try? decoder(&reader, nil) else { return false }
      self.value = value
      finish(.value)
    } else {
      finish(.bytes(unsafe [UInt8](bytes)))
    }
    return true
  }

  private var isPlainlyDecoded: Bool { (Output.self as? any PlainlyDecoded.Type)?.isPlainlyDecoded == true }

  override func fail(item: Int, _ failure: ItemFailure) { finish(.failure(failure)) }

  private func finish(_ outcome: RunState.Outcome) {
    state.withLock { state in
      guard state.outcome == nil else { return }
      state.outcome = outcome
      done.store(true, ordering: .releasing)
    }
  }

  override func wake() {
    let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
      guard state.outcome != nil else { return nil }
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume()
  }

  func wait() async {
    await withCheckedContinuation { continuation in
      let isDone = state.withLock { state in
        if state.outcome == nil { state.waiter = continuation }
        return state.outcome != nil
      }
      if isDone { continuation.resume() }
    }
  }

  /// The result, once it is done.
  func result() throws -> Output {
    switch state.withLock({ $0.outcome }) {
    case .value?:
      guard let value else { throw ProcessError.damagedOutcome }
      return value
    case .bytes(let bytes)?:
      return try unsafe bytes.withUnsafeBytes { bytes in
        var reader = unsafe ByteReader(bytes)
        return try decoder(&reader, IncomingTransfer())
      }
    case .failure(let failure)?: throw failure.error
    case nil: throw ProcessError.closed
    }
  }
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
