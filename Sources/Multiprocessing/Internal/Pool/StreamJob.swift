// The results of one stream, from the channels to the consumer.

internal import Synchronization

/// What comes back of a stream's items, kept encoded until the consumer takes it.
final class StreamJob: FedJob, @unchecked Sendable {  // `state` guards all that changes.
  enum Order {
    /// In that of the inputs; ends with the first item, in that order, that fails.
    case input
    /// As they complete; ends with the first failure.
    case completion
    /// As they complete; a failure is an outcome as any other.
    case outcomes
  }

  /// Some items, one after the other.
  struct Delivery {
    enum Content {
      case values([UInt8])
      case failure(ItemFailure)
    }

    var first: Int
    var count: Int
    var content: Content
  }

  private struct State {
    /// By first item, where the order is that of the inputs.
    var byPosition: [Int: Delivery] = [:]
    var next = 0
    /// In order of arrival otherwise; the first of them that has not been taken.
    var arrived: [Delivery] = []
    var front = 0
    var records = 0
    var items = 0
    var failedAt: Int?
  }

  private let state = Guarded(State())
  private let order: Order

  init(_ body: PoolBody, _ order: Order) {
    self.order = order
    super.init(body)
  }

  // MARK: - The consumer's side

  func take() -> Delivery? {
    state.withLock { state in
      let delivery: Delivery
      if order == .input {
        guard let next = state.byPosition.removeValue(forKey: state.next) else { return nil }
        delivery = next
        state.next += next.count
      } else {
        guard state.front < state.arrived.count else { return nil }
        delivery = state.arrived[state.front]
        state.front += 1
        if state.front == state.arrived.count {
          state.arrived.removeAll(keepingCapacity: true)
          state.front = 0
        }
      }
      state.records -= 1
      state.items -= delivery.count
      return delivery
    }
  }

  override var hasDeliveries: Bool {
    state.withLock { state in
      order == .input ? state.byPosition[state.next] != nil : state.front < state.arrived.count
    }
  }

  override var isComplete: Bool {
    switch order {
    case .input, .completion: super.isComplete
    case .outcomes: isEnded
    }
  }

  override var endsAtFailure: Bool { order != .input }

  override var itemsAhead: Int { super.itemsAhead + state.withLock { $0.items } }

  override func freeRecords(chunk: Int, window: Int?, workers: Int) -> Int {
    if window != nil { return super.freeRecords(chunk: chunk, window: window, workers: workers) }
    return max(8, 4 * workers) - recordsInFlight - state.withLock { $0.records }
  }

  // MARK: - The channels' side

  override var kind: String { order == .outcomes ? "outcomes" : "results" }

  override var continuesAfterFailure: Bool { order == .outcomes }

  override func wants(_ first: Int) -> Bool {
    switch order {
    case .input: !isEnded && state.withLock { $0.failedAt.map { first < $0 } ?? true }
    case .completion: super.wants(first)
    case .outcomes: !isEnded
    }
  }

  override func receive(first: Int, count: Int, _ bytes: UnsafeRawBufferPointer) -> Bool {
    add(Delivery(first: first, count: count, content: .values(unsafe [UInt8](bytes))))
    return true
  }

  override func fail(first: Int, count: Int, _ failure: ItemFailure) {
    super.fail(first: first, count: count, failure)
    add(Delivery(first: first, count: count, content: .failure(failure)))
  }

  private func add(_ delivery: Delivery) {
    state.withLock { state in
      if order == .input {
        state.byPosition[delivery.first] = delivery
      } else {
        state.arrived.append(delivery)
      }
      state.records += 1
      state.items += delivery.count
      if case .failure = delivery.content {
        state.failedAt = min(state.failedAt ?? Int.max, delivery.first)
      }
    }
  }
}
