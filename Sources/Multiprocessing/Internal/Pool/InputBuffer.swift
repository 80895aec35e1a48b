// From an asynchronous input to a feeder that does not wait: elements are pulled when they are asked for.

internal import Synchronization

final class InputBuffer<Element: Sendable>: Sendable {
  private struct State {
    var elements: [Element] = []
    var demand = 0
    var isStopped = false
    var end: Result<Void, any Error>?
    var puller: CheckedContinuation<Bool, Never>?
    var job: StreamJob?
  }

  private let state = Mutex(State())

  /// Whom to wake when an element has come.
  func attach(_ job: StreamJob) { state.withLock { $0.job = job } }

  // MARK: - The feeder's side

  enum Taken {
    case elements([Element])
    case nothingYet
    case end
  }

  /// Up to `limit` elements, for which the input is asked.
  func take(_ limit: Int) throws -> Taken {
    let (taken, puller) = state.withLock {
      state -> (Result<Taken, any Error>, CheckedContinuation<Bool, Never>?) in
      if !state.elements.isEmpty {
        let taken = Array(state.elements.prefix(limit))
        state.elements.removeFirst(taken.count)
        return (.success(.elements(taken)), nil)
      }
      switch state.end {
      case .success?: return (.success(.end), nil)
      case .failure(let error)?: return (.failure(error), nil)
      case nil:
        state.demand = limit
        defer { state.puller = nil }
        return (.success(.nothingYet), state.puller)
      }
    }
    puller?.resume(returning: true)
    return try taken.get()
  }

  func stop() {
    let puller = state.withLock { state in
      state.isStopped = true
      defer { state.puller = nil }
      return state.puller
    }
    puller?.resume(returning: false)
  }

  // MARK: - The input's side

  /// Pulls from `inputs` as far as elements are asked for, until they end or nobody asks any more.
  func fill<Inputs: AsyncSequence>(from inputs: Inputs) async where Inputs.Element == Element {
    do {
      var iterator = inputs.makeAsyncIterator()
      while await waitForDemand() {
        guard let element = try await iterator.next(isolation: #isolation) else {
          return finish(.success(()))
        }
        put(element)
      }
    } catch {
      finish(.failure(error))
    }
  }

  private func waitForDemand() async -> Bool {
    await withCheckedContinuation { continuation in
      let immediate = state.withLock { state -> Bool? in
        if state.isStopped { return false }
        if state.demand > 0 { return true }
        state.puller = continuation
        return nil
      }
      if let immediate { continuation.resume(returning: immediate) }
    }
  }

  private func put(_ element: Element) {
    let job = state.withLock { state in
      state.elements.append(element)
      state.demand -= 1
      return state.job
    }
    job?.poke()
  }

  private func finish(_ end: Result<Void, any Error>) {
    let job = state.withLock { state in
      state.end = end
      return state.job
    }
    job?.poke()
  }
}
