// `map`: one body on many inputs, results in input order. One form for each shape of input and body.

extension ProcessPool {
  /// Calls `body` on each input and returns the results in input order.
  ///
  /// Inputs are pulled lazily, in the calling task, a bounded number ahead. The first error cancels the rest as
  /// any cancellation does, and is thrown once what was running has ended. An input that crashes its worker is
  /// named by its position in `CrashReport.taskIndex`.
  ///
  /// - Throws: What `run` throws, for the first input that fails.
  public func map<Input: Transferable, Output: Transferable>(
    _ inputs: some Sequence<Input>, body: @escaping @Sendable (Input) throws -> Output
  ) async throws -> [Output] {
    try await collect(inputs, try BodyReference(unarySync: body), valueDecoder())
  }

  public func map<Input: Transferable, Output: Transferable>(
    _ inputs: some Sequence<Input>,
    body: @escaping @Sendable @concurrent (Input) async throws -> Output
  ) async throws -> [Output] {
    try await collect(inputs, try BodyReference(unaryAsync: body), valueDecoder())
  }

  // MARK: - Tuples of results

  public func map<Input: Transferable, R1: Transferable, R2: Transferable, each R: Transferable>(
    _ inputs: some Sequence<Input>,
    body: @escaping @Sendable (Input) throws -> (R1, R2, repeat each R)
  ) async throws -> [(R1, R2, repeat each R)] {
    try await collect(
      inputs, try BodyReference(unarySyncTuple: body), tupleDecoder(), isTuple: true)
  }

  public func map<Input: Transferable, R1: Transferable, R2: Transferable, each R: Transferable>(
    _ inputs: some Sequence<Input>,
    body: @escaping @Sendable @concurrent (Input) async throws -> (R1, R2, repeat each R)
  ) async throws -> [(R1, R2, repeat each R)] {
    try await collect(
      inputs, try BodyReference(unaryAsyncTuple: body), tupleDecoder(), isTuple: true)
  }

  // MARK: - Several arguments (Python's starmap)

  /// Calls `body` with the elements of each tuple: `pool.map(zip(xs, ys)) { x, y in … }`.
  public func map<A: Transferable, B: Transferable, each C: Transferable, Output: Transferable>(
    _ inputs: some Sequence<(A, B, repeat each C)>,
    body: @escaping @Sendable (A, B, repeat each C) throws -> Output
  ) async throws -> [Output] {
    try await collect(inputs, try BodyReference(starSync: body), valueDecoder()) {
      input, writer, context in
      try encodeTuple(input, A.self, B.self, repeat (each C).self, into: &writer, context)
    }
  }

  public func map<A: Transferable, B: Transferable, each C: Transferable, Output: Transferable>(
    _ inputs: some Sequence<(A, B, repeat each C)>,
    body: @escaping @Sendable @concurrent (A, B, repeat each C) async throws -> Output
  ) async throws -> [Output] {
    try await collect(inputs, try BodyReference(starAsync: body), valueDecoder()) {
      input, writer, context in
      try encodeTuple(input, A.self, B.self, repeat (each C).self, into: &writer, context)
    }
  }

  /// Labelled tuples do not match unlabelled ones, so `enumerated()` needs its own.
  public func map<Base: Sequence, Output: Transferable>(
    _ inputs: EnumeratedSequence<Base>,
    body: @escaping @Sendable (Int, Base.Element) throws -> Output
  ) async throws -> [Output] where Base.Element: Transferable {
    try await collect(inputs, try BodyReference(indexedSync: body), valueDecoder()) {
      input, writer, context in
      try encodeArguments(input.offset, input.element, into: &writer, context)
    }
  }

  public func map<Base: Sequence, Output: Transferable>(
    _ inputs: EnumeratedSequence<Base>,
    body: @escaping @Sendable @concurrent (Int, Base.Element) async throws -> Output
  ) async throws -> [Output] where Base.Element: Transferable {
    try await collect(inputs, try BodyReference(indexedAsync: body), valueDecoder()) {
      input, writer, context in
      try encodeArguments(input.offset, input.element, into: &writer, context)
    }
  }

  /// Runs each task.
  public func map<T: ProcessTask>(_ tasks: some Sequence<T>) async throws -> [T.Output] {
    try await collect(tasks, try BodyReference(task: T.self), valueDecoder())
  }
}

// MARK: - forEach

extension ProcessPool {
  /// Calls `body` on each input; as `map`, without results.
  public func forEach<Input: Transferable>(
    _ inputs: some Sequence<Input>, body: @escaping @Sendable (Input) throws -> Void
  ) async throws {
    _ = try await collect(inputs, try BodyReference(unarySyncVoid: body), voidDecoder())
  }

  public func forEach<Input: Transferable>(
    _ inputs: some Sequence<Input>,
    body: @escaping @Sendable @concurrent (Input) async throws -> Void
  ) async throws {
    _ = try await collect(inputs, try BodyReference(unaryAsyncVoid: body), voidDecoder())
  }

  public func forEach<A: Transferable, B: Transferable, each C: Transferable>(
    _ inputs: some Sequence<(A, B, repeat each C)>,
    body: @escaping @Sendable (A, B, repeat each C) throws -> Void
  ) async throws {
    _ = try await collect(inputs, try BodyReference(starSyncVoid: body), voidDecoder()) {
      input, writer, context in
      try encodeTuple(input, A.self, B.self, repeat (each C).self, into: &writer, context)
    }
  }

  public func forEach<A: Transferable, B: Transferable, each C: Transferable>(
    _ inputs: some Sequence<(A, B, repeat each C)>,
    body: @escaping @Sendable @concurrent (A, B, repeat each C) async throws -> Void
  ) async throws {
    _ = try await collect(inputs, try BodyReference(starAsyncVoid: body), voidDecoder()) {
      input, writer, context in
      try encodeTuple(input, A.self, B.self, repeat (each C).self, into: &writer, context)
    }
  }
}

// MARK: - Shared by all

extension ProcessPool {
  /// A `forEach` of a body in a shape of its own.
  func forEach<Input: Transferable>(_ inputs: [Input], _ reference: BodyReference) async throws {
    _ = try await collect(inputs, reference, voidDecoder())
  }

  /// A map whose inputs are single values.
  private func collect<Inputs: Sequence, Output>(
    _ inputs: Inputs, _ reference: BodyReference, _ decoder: ResultDecoder<Output>,
    isTuple: Bool = false
  ) async throws -> [Output] where Inputs.Element: Transferable {
    // A closure that escapes, as streams have it, would cost as much as the rest of an item.
    if var plain = PlainInputs(inputs) {
      return try await collect(inputs, reference, decoder, isTuple) { limit, draft in
        plain.pull(limit, of: inputs, into: &draft)
      }
    }
    return try await collect(inputs, reference, decoder, isTuple: isTuple) {
      input, writer, context in
      try encodeResult(input, into: &writer, context)
    }
  }

  /// A map whose inputs `encode` writes.
  private func collect<Inputs: Sequence, Output>(
    _ inputs: Inputs, _ reference: BodyReference, _ decoder: ResultDecoder<Output>,
    isTuple: Bool = false,
    _ encode: (Inputs.Element, inout ByteWriter, OutgoingTransfer) throws -> Void
  ) async throws -> [Output] {
    var iterator = inputs.makeIterator()
    return try await collect(inputs, reference, decoder, isTuple) { limit, draft in
      try pullItems(&iterator, limit, &draft, encode)
    }
  }

  private func collect<Inputs: Sequence, Output>(
    _ inputs: Inputs, _ reference: BodyReference, _ decoder: ResultDecoder<Output>, _ isTuple: Bool,
    _ source: ItemSource
  ) async throws -> [Output] {
    let body = try core.bodies.body(for: reference)
    let job = MapJob<Output>(body, isBytes: !isTuple && ValueCoding.isBytes(Output.self))
    let count = try await core.map(
      job, underestimatedCount: inputs.underestimatedCount, isLengthKnown: isLengthKnown(inputs),
      source)
    return try job.results(count, decoder)
  }
}
