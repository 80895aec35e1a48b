// What runs on a worker before its first task: the body of `Configuration.onWorkerStart`.

internal import Synchronization

final class StartJob: PoolJob, @unchecked Sendable {  // A mutex guards all that changes.
  private enum Outcome {
    case running, done
    case failed(ItemFailure)
  }

  private let outcome = Mutex(Outcome.running)
  private let ended: Mutex<(@Sendable (ItemFailure?) -> Void)?>

  /// - Parameter ended: Called once, with the failure if there was one.
  init(_ body: PoolBody, _ ended: @escaping @Sendable (ItemFailure?) -> Void) {
    self.ended = Mutex(ended)
    super.init(body)
  }

  /// On this worker or on none.
  override func wants(_ first: Int) -> Bool { false }
  override var isBound: Bool { true }

  override var kind: String { "onWorkerStart" }

  override func receive(first: Int, count: Int, _ bytes: UnsafeRawBufferPointer) -> Bool {
    outcome.withLock { $0 = .done }
    return true
  }

  override func fail(first: Int, count: Int, _ failure: ItemFailure) {
    outcome.withLock { $0 = .failed(failure) }
  }

  override func wake() {
    let failure: ItemFailure?
    switch outcome.withLock({ $0 }) {
    case .running: return
    case .done: failure = nil
    case .failed(let reason): failure = reason
    }
    let ended = ended.withLock { ended in
      defer { ended = nil }
      return ended
    }
    ended?(failure)
  }
}
