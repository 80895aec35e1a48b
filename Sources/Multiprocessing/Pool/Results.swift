// Streams of results: what `ProcessPool.results` and `ProcessPool.outcomes` return.

extension ProcessPool {
  /// Results as they come: Python's `imap` and `imap_unordered`. To be iterated once.
  ///
  /// Workers are fed by whoever asks for the next result, so a consumer that stops asking stops the input too.
  /// Leaving the loop cancels the rest.
  public struct Results<Output: Sendable>: AsyncSequence, Sendable {
    public typealias Element = Output
    public typealias Failure = any Error

    let start: OneShot<() throws -> StreamRun<Output>>

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(start: start) }

    public struct AsyncIterator: AsyncIteratorProtocol {
      fileprivate let start: OneShot<() throws -> StreamRun<Output>>
      private var run: StreamRun<Output>?
      private var hasEnded = false

      fileprivate init(start: OneShot<() throws -> StreamRun<Output>>) {
        self.start = start
      }

      public mutating func next() async throws -> Output? { try await next(isolation: #isolation) }

      public mutating func next(isolation actor: isolated (any Actor)?) async throws -> Output? {
        if hasEnded { return nil }
        // Whatever throws, below, is the last that is heard of the stream.
        hasEnded = true
        let run = try self.run ?? begin()
        self.run = run
        if Task.isCancelled {
          await run.endEarly()
          throw CancellationError()
        }
        switch await run.nextOutcome()?.result {
        case .success(let value)?:
          hasEnded = false
          return value
        case .failure(let error)?:
          await run.endEarly()
          throw error
        case nil:
          if let failure = run.failure { throw failure }
          return nil
        }
      }

      private func begin() throws -> StreamRun<Output> {
        guard let start = start.take() else {
          throw ProcessError.invalidConfiguration(
            "the results of a pool can be iterated once; ask the pool for them again")
        }
        return try start()
      }
    }
  }

  /// Every result and every error, as they complete. To be iterated once; as `Results` otherwise.
  public struct Outcomes<Output: Sendable>: AsyncSequence, Sendable {
    public typealias Element = (index: Int, result: Result<Output, any Error>)
    public typealias Failure = Never

    let start: OneShot<() -> OutcomeRun<Output>>

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(start: start) }

    public struct AsyncIterator: AsyncIteratorProtocol {
      fileprivate let start: OneShot<() -> OutcomeRun<Output>>
      private var run: OutcomeRun<Output>?

      fileprivate init(start: OneShot<() -> OutcomeRun<Output>>) {
        self.start = start
      }

      public mutating func next() async -> Element? { await next(isolation: #isolation) }

      public mutating func next(isolation actor: isolated (any Actor)?) async -> Element? {
        if run == nil {
          guard let start = start.take() else {
            preconditionFailure(
              "the outcomes of a pool can be iterated once; ask the pool for them again")
          }
          run = start()
        }
        switch run {
        case .live(let live)?:
          if let outcome = await live.nextOutcome() { return outcome }
          // The pool was shut down: the inputs that it did not get fail with that.
          guard let rest = live.rest else { return nil }
          run = .refused(rest)
          return rest.next()
        case .refused(let inputs)?: return inputs.next()
        case nil: return nil
        }
      }
    }
  }
}

/// One iteration of outcomes.
enum OutcomeRun<Output> {
  case live(StreamRun<Output>)
  /// The body cannot be sent: each input fails with that.
  case refused(RefusedInputs<Output>)
}

/// Pulls each input, and says why its body cannot run.
final class RefusedInputs<Output> {
  private let source: StreamSource
  private let error: any Error
  private var index: Int

  init(_ error: any Error, _ source: StreamSource, index: Int = 0) {
    self.error = error
    self.source = source
    self.index = index
  }

  func next() -> (index: Int, result: Result<Output, any Error>)? {
    var draft = unsafe RecordDraft(
      UnsafeMutableRawBufferPointer(start: nil, count: 0), keepsBoundaries: false)
    // An input that cannot be encoded fails with the body all the same.
    if case .end? = try? source.pull(1, &draft) { return nil }
    defer { index += 1 }
    return (index, .failure(error))
  }
}
