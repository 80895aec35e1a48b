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
      try core.bodies.body(BodyKey(sync: body)) { () throws(ProcessError) in
        try BodyReference(sync: body)
      },
      timeout: timeout, isPlain: arePlain(repeat (each Argument).self), receiver(for: Output.self),
      { try encodeArguments(repeat each argument, into: &$0, $1) },
      { try decodeResult(Output.self, from: &$0) })
  }

  /// As the synchronous form, for a body that awaits.
  public func run<each Argument: Transferable, Output: Transferable>(
    _ argument: repeat each Argument, timeout: Duration? = nil,
    body: @escaping @Sendable @concurrent (repeat each Argument) async throws -> Output
  ) async throws -> Output {
    try await core.run(
      try core.bodies.body(BodyKey(async: body)) { () throws(ProcessError) in
        try BodyReference(async: body)
      },
      timeout: timeout, isPlain: arePlain(repeat (each Argument).self), receiver(for: Output.self),
      { try encodeArguments(repeat each argument, into: &$0, $1) },
      { try decodeResult(Output.self, from: &$0) })
  }

  /// For a body without a result.
  public func run<each Argument: Transferable>(
    _ argument: repeat each Argument, timeout: Duration? = nil,
    body: @escaping @Sendable (repeat each Argument) throws -> Void
  ) async throws {
    try await core.run(
      try core.bodies.body(BodyKey(syncVoid: body)) { () throws(ProcessError) in
        try BodyReference(syncVoid: body)
      },
      timeout: timeout, isPlain: arePlain(repeat (each Argument).self), nil,
      { try encodeArguments(repeat each argument, into: &$0, $1) }, { _ in })
  }

  /// For a body without a result that awaits.
  public func run<each Argument: Transferable>(
    _ argument: repeat each Argument, timeout: Duration? = nil,
    body: @escaping @Sendable @concurrent (repeat each Argument) async throws -> Void
  ) async throws {
    try await core.run(
      try core.bodies.body(BodyKey(asyncVoid: body)) { () throws(ProcessError) in
        try BodyReference(asyncVoid: body)
      },
      timeout: timeout, isPlain: arePlain(repeat (each Argument).self), nil,
      { try encodeArguments(repeat each argument, into: &$0, $1) }, { _ in })
  }

  // Without the next two a closure `{ ($0, 1) }` would silently match the form without a result.

  /// For a body that returns a tuple.
  public func run<
    each Argument: Transferable, R1: Transferable, R2: Transferable, each R: Transferable
  >(
    _ argument: repeat each Argument, timeout: Duration? = nil,
    body: @escaping @Sendable (repeat each Argument) throws -> (R1, R2, repeat each R)
  ) async throws -> (R1, R2, repeat each R) {
    try await core.run(
      try core.bodies.body(BodyKey(syncTuple: body)) { () throws(ProcessError) in
        try BodyReference(syncTuple: body)
      },
      timeout: timeout, isPlain: arePlain(repeat (each Argument).self), nil,
      { try encodeArguments(repeat each argument, into: &$0, $1) },
      { try decodeResult(R1.self, R2.self, repeat (each R).self, from: &$0) })
  }

  /// For a body that awaits and returns a tuple.
  public func run<
    each Argument: Transferable, R1: Transferable, R2: Transferable, each R: Transferable
  >(
    _ argument: repeat each Argument, timeout: Duration? = nil,
    body:
      @escaping @Sendable @concurrent (repeat each Argument) async throws -> (R1, R2, repeat each R)
  ) async throws -> (R1, R2, repeat each R) {
    try await core.run(
      try core.bodies.body(BodyKey(asyncTuple: body)) { () throws(ProcessError) in
        try BodyReference(asyncTuple: body)
      },
      timeout: timeout, isPlain: arePlain(repeat (each Argument).self), nil,
      { try encodeArguments(repeat each argument, into: &$0, $1) },
      { try decodeResult(R1.self, R2.self, repeat (each R).self, from: &$0) })
  }

  /// Runs a task that carries its own state.
  public func run<T: ProcessTask>(_ task: T, timeout: Duration? = nil) async throws -> T.Output {
    try await core.run(
      try core.bodies.body(for: BodyReference(task: T.self)), timeout: timeout,
      isPlain: arePlain(T.self),
      receiver(for: T.Output.self), { try encodeArguments(task, into: &$0, $1) },
      { try decodeResult(T.Output.self, from: &$0) })
  }
}

/// Whether all these types travel as plain bytes.
func arePlain<each T>(_ types: repeat (each T).Type) -> Bool {
  for type in repeat each types {
    if !ValueCoding.isBytes(type) { return false }
  }
  return true
}
