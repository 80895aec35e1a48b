// `results` and `outcomes`: one body on many inputs, results as they come.

extension ProcessPool {
  /// Calls `body` on each input and streams the results: Python's `imap`, and with `inOrder: false`
  /// `imap_unordered`.
  ///
  /// Inputs are pulled lazily, never more than `Configuration.window` ahead of what the consumer has taken, and
  /// may be infinite. The first failure ends the stream with its error, in input order after the results that
  /// come before it. Leaving the loop cancels the rest.
  public func results<Input: Transferable, Output: Transferable>(
    of inputs: sending some Sequence<Input>, inOrder: Bool = true,
    body: @escaping @Sendable (Input) throws -> Output
  ) -> Results<Output> {
    stream(streamSource(inputs), inOrder: inOrder) { try BodyReference(unarySync: body) }
  }

  public func results<Input: Transferable, Output: Transferable>(
    of inputs: sending some Sequence<Input>, inOrder: Bool = true,
    body: @escaping @Sendable @concurrent (Input) async throws -> Output
  ) -> Results<Output> {
    stream(streamSource(inputs), inOrder: inOrder) { try BodyReference(unaryAsync: body) }
  }

  /// For inputs that come asynchronously, as messages do. One element is asked for ahead at a time.
  public func results<Inputs: AsyncSequence & Sendable, Output: Transferable>(
    of inputs: Inputs, inOrder: Bool = true,
    body: @escaping @Sendable (Inputs.Element) throws -> Output
  ) -> Results<Output> where Inputs.Element: Transferable {
    stream(asyncSource(inputs), inOrder: inOrder) { try BodyReference(unarySync: body) }
  }

  /// Runs each task.
  public func results<T: ProcessTask>(
    of tasks: sending some Sequence<T>, inOrder: Bool = true
  ) -> Results<T.Output> {
    stream(streamSource(tasks), inOrder: inOrder) { try BodyReference(task: T.self) }
  }

  /// Calls `body` on each input and streams every result and every error with the input's position, as they
  /// complete. A failure leaves the other inputs as they are: a crash costs the one item that ran.
  public func outcomes<Input: Transferable, Output: Transferable>(
    of inputs: sending some Sequence<Input>, body: @escaping @Sendable (Input) throws -> Output
  ) -> Outcomes<Output> {
    outcomes(streamSource(inputs)) { try BodyReference(unarySync: body) }
  }

  public func outcomes<Input: Transferable, Output: Transferable>(
    of inputs: sending some Sequence<Input>,
    body: @escaping @Sendable @concurrent (Input) async throws -> Output
  ) -> Outcomes<Output> {
    outcomes(streamSource(inputs)) { try BodyReference(unaryAsync: body) }
  }

  public func outcomes<T: ProcessTask>(of tasks: sending some Sequence<T>) -> Outcomes<T.Output> {
    outcomes(streamSource(tasks)) { try BodyReference(task: T.self) }
  }
}

// MARK: - Shared by all

extension ProcessPool {
  private func stream<Output: Transferable>(
    _ source: OneShot<StreamSource>, inOrder: Bool,
    _ reference: @escaping @Sendable () throws -> BodyReference
  ) -> Results<Output> {
    return Results(
      start: OneShot({ [self] in
        try core.queue.checkOpen()
        let job = StreamJob(
          try core.bodies.body(for: try reference()), inOrder ? .input : .completion)
        return StreamRun(
          self, job, source.take() ?? .empty, chunkLimit: Int.max, valueDecoder())
      }))
  }

  private func outcomes<Output: Transferable>(
    _ source: OneShot<StreamSource>, _ reference: @escaping @Sendable () throws -> BodyReference
  ) -> Outcomes<Output> {
    return Outcomes(
      start: OneShot({ [self] in
        let source = source.take() ?? .empty
        do {
          let job = StreamJob(try core.bodies.body(for: try reference()), .outcomes)
          // The decoding of a value by code of the user's may fail, and then nothing tells where the next
          // one begins.
          let isPlain = ValueCoding.isBytes(Output.self) || receiver(for: Output.self) != nil
          return .live(
            StreamRun(self, job, source, chunkLimit: isPlain ? Int.max : 1, valueDecoder()))
        } catch {
          return .refused(RefusedInputs(error, source))
        }
      }))
  }
}

/// Pulls from a sequence in the consumer's task.
private func streamSource<Inputs: Sequence>(_ inputs: sending Inputs) -> OneShot<StreamSource>
where Inputs.Element: Transferable {
  // The inputs were sent to us.
  OneShot(
    uniquely: StreamSource(
      pull: itemSource(inputs), underestimatedCount: inputs.underestimatedCount,
      isLengthKnown: isLengthKnown(inputs)))
}

/// A sequence whose elements are arguments.
private func itemSource<Inputs: Sequence>(_ inputs: Inputs) -> ItemSource
where Inputs.Element: Transferable {
  if var plain = PlainInputs(inputs) {
    return { limit, draft in plain.pull(limit, of: inputs, into: &draft) }
  }
  var iterator = inputs.makeIterator()
  return { limit, draft in
    try pullItems(&iterator, limit, &draft) { try encodeResult($0, into: &$1, $2) }
  }
}

/// Writes the next elements, each as `encode` does.
func pullItems<Iterator: IteratorProtocol>(
  _ iterator: inout Iterator, _ limit: Int, _ draft: inout RecordDraft,
  _ encode: (Iterator.Element, inout ByteWriter, OutgoingTransfer) throws -> Void
) throws -> Pulled {
  var count = 0
  while count < limit, !draft.isFull {
    guard let input = iterator.next() else { break }
    try encode(input, &draft.writer, draft.context)
    draft.itemEnded()
    count += 1
  }
  return count == 0 ? .end : .items(count)
}

/// Pulls from an asynchronous sequence in a task of its own, as far as the consumer asks.
private func asyncSource<Inputs: AsyncSequence & Sendable>(
  _ inputs: Inputs
) -> OneShot<StreamSource>
where Inputs.Element: Transferable {
  let buffer = InputBuffer<Inputs.Element>()
  let filling = Task { await buffer.fill(from: inputs) }
  var source = StreamSource(
    pull: { limit, draft in
      switch try buffer.take(limit) {
      case .nothingYet: return .nothingYet
      case .end: return .end
      case .elements(let elements):
        for element in elements {
          try encodeResult(element, into: &draft.writer, draft.context)
          draft.itemEnded()
        }
        return .items(elements.count)
      }
    })
  source.attach = { buffer.attach($0) }
  source.stop = {
    filling.cancel()
    buffer.stop()
  }
  return OneShot(uniquely: source)
}
