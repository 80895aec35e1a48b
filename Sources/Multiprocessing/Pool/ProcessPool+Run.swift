// `run`: one body, one result. One form for each shape of body.

extension ProcessPool {
  /// Calls `body` with these arguments on a worker and returns its result.
  ///
  /// The body is a closure that captures nothing, or a function. Cancelling the calling task cancels the
  /// remote work: `Task.isCancelled` becomes true in the body; a body that does not end within
  /// `Configuration.cancellationGrace` loses its process. The call returns when the remote end is confirmed.
  ///
  /// A result type that is not `Codable` (`Character`, `Substring`) makes the compiler choose the form without
  /// a result, with a warning only. A closure of several statements that awaits needs its result type spelled
  /// out: `{ (n: Int) async throws -> Int in … }`.
  ///
  /// - Parameter timeout: Ends the work too; nil: `Configuration.taskTimeout`.
  /// - Throws: The body's own error when it is `Codable`, else `ProcessError.failed`; `.crashed` when its
  ///   process ended, `.notTransferable` before anything is sent, `.timedOut`, `.closed`, `CancellationError`.
  public func run<each Argument: Transferable, Output: Transferable>(
    _ argument: repeat each Argument, timeout: Duration? = nil,
    body: @escaping @Sendable (repeat each Argument) throws -> Output
  ) async throws -> Output {
    try await core.run(
      try BodyReference(sync: body), isPlain: arePlain(repeat (each Argument).self), timeout: timeout,
      valueDecoder()
    ) { writer, context in try encodeArguments(repeat each argument, into: &writer, context) }
  }

  /// As the synchronous form, for a body that awaits.
  public func run<each Argument: Transferable, Output: Transferable>(
    _ argument: repeat each Argument, timeout: Duration? = nil,
    body: @escaping @Sendable @concurrent (repeat each Argument) async throws -> Output
  ) async throws -> Output {
    try await core.run(
      try BodyReference(async: body), isPlain: arePlain(repeat (each Argument).self), timeout: timeout,
      valueDecoder()
    ) { writer, context in try encodeArguments(repeat each argument, into: &writer, context) }
  }

  /// For a body without a result.
  public func run<each Argument: Transferable>(
    _ argument: repeat each Argument, timeout: Duration? = nil,
    body: @escaping @Sendable (repeat each Argument) throws -> Void
  ) async throws {
    try await core.run(
      try BodyReference(syncVoid: body), isPlain: arePlain(repeat (each Argument).self), timeout: timeout,
      voidDecoder()
    ) { writer, context in try encodeArguments(repeat each argument, into: &writer, context) }
  }

  /// For a body without a result that awaits.
  public func run<each Argument: Transferable>(
    _ argument: repeat each Argument, timeout: Duration? = nil,
    body: @escaping @Sendable @concurrent (repeat each Argument) async throws -> Void
  ) async throws {
    try await core.run(
      try BodyReference(asyncVoid: body), isPlain: arePlain(repeat (each Argument).self), timeout: timeout,
      voidDecoder()
    ) { writer, context in try encodeArguments(repeat each argument, into: &writer, context) }
  }

  // Without the next two a closure `{ ($0, 1) }` would silently match the form without a result.

  /// For a body that returns a tuple.
  public func run<each Argument: Transferable, R1: Transferable, R2: Transferable, each R: Transferable>(
    _ argument: repeat each Argument, timeout: Duration? = nil,
    body: @escaping @Sendable (repeat each Argument) throws -> (R1, R2, repeat each R)
  ) async throws -> (R1, R2, repeat each R) {
    try await core.run(
      try BodyReference(syncTuple: body), isPlain: arePlain(repeat (each Argument).self), timeout: timeout,
      tupleDecoder()
    ) { writer, context in try encodeArguments(repeat each argument, into: &writer, context) }
  }

  /// For a body that awaits and returns a tuple.
  public func run<each Argument: Transferable, R1: Transferable, R2: Transferable, each R: Transferable>(
    _ argument: repeat each Argument, timeout: Duration? = nil,
    body: @escaping @Sendable @concurrent (repeat each Argument) async throws -> (R1, R2, repeat each R)
  ) async throws -> (R1, R2, repeat each R) {
    try await core.run(
      try BodyReference(asyncTuple: body), isPlain: arePlain(repeat (each Argument).self), timeout: timeout,
      tupleDecoder()
    ) { writer, context in try encodeArguments(repeat each argument, into: &writer, context) }
  }

  /// Runs a task that carries its own state.
  public func run<T: ProcessTask>(_ task: T, timeout: Duration? = nil) async throws -> T.Output {
    try await core.run(
      try BodyReference(task: T.self), isPlain: arePlain(T.self), timeout: timeout, valueDecoder()
    ) { writer, context in try encodeArguments(task, into: &writer, context) }
  }
}

/// Whether all these types travel as plain bytes.
func arePlain<each T>(_ types: repeat (each T).Type) -> Bool {
  for type in repeat each types {
    if !ValueCoding.isBytes(type) { return false }
  }
  return true
}
