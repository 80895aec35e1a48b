// One `run`: one item, one caller.

internal import Synchronization

final class RunJob<Output>: PoolJob, @unchecked Sendable {  // `state` guards all that changes.
  private enum Outcome {
    case value(Output)
    case bytes([UInt8])
    case failure(ItemFailure)
  }

  private struct State {
    var outcome: Outcome?
    var waiter: CheckedContinuation<Void, Never>?
  }

  private let state = Guarded(State())
  private let done = Atomic<Bool>(false)

  var isDone: Bool { done.load(ordering: .acquiring) }

  override func receive(first: Int, count: Int, _ bytes: UnsafeRawBufferPointer) -> Bool {
    guard count == 1 else { return false }
    if ValueCoding.isBytes(Output.self) {
      guard bytes.count == MemoryLayout<Output>.size else { return false }
      return unsafe withUnsafeTemporaryAllocation(of: Output.self, capacity: 1) { buffer in
        guard let target = buffer.baseAddress, unsafe unpackBytes(bytes, 1, into: target) else { return false }
        finish(.value(unsafe target.pointee))
        return true
      }
    }
    finish(.bytes(unsafe [UInt8](bytes)))
    return true
  }

  override func fail(item: Int, _ failure: ItemFailure) { finish(.failure(failure)) }

  private func finish(_ outcome: Outcome) {
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
  func result(_ decoder: ResultDecoder<Output>) throws -> Output {
    let outcome = state.withLock { $0.outcome }
    switch outcome {
    case .value(let value)?: return value
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
