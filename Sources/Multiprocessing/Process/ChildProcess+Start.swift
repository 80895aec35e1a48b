// The ways to start a ChildProcess, one initializer for each shape of body.

extension ChildProcess where Output: Codable {
  /// Starts a process that calls `body` with these arguments.
  ///
  /// The body is a closure that captures nothing, or a function. Costs 0.1 to 0.3 ms with the fork
  /// server, 1 to 5 ms with `.spawn`, during which the calling thread is blocked.
  ///
  /// - Throws: `ProcessError.notTransferable` when the body captures something or a type cannot be named,
  ///   `.startFailed` when the kernel refuses a process or an option, `.invalidConfiguration`.
  public convenience init<each Argument: Transferable>(
    _ argument: repeat each Argument, options: ProcessOptions = .init(),
    body: @escaping @Sendable (repeat each Argument) throws -> Output
  ) throws {
    try self.init(
      start(try BodyReference(sync: body), options) { writer, context in
        try encodeArguments(repeat each argument, into: &writer, context)
      }, valueDecoder())
  }

  /// As the synchronous form, for a body that awaits.
  public convenience init<each Argument: Transferable>(
    _ argument: repeat each Argument, options: ProcessOptions = .init(),
    body: @escaping @Sendable @concurrent (repeat each Argument) async throws -> Output
  ) throws {
    try self.init(
      start(try BodyReference(async: body), options) { writer, context in
        try encodeArguments(repeat each argument, into: &writer, context)
      }, valueDecoder())
  }

  /// Starts a process that runs `task`.
  public convenience init<T: ProcessTask>(
    _ task: T, options: ProcessOptions = .init()
  ) throws where T.Output == Output {
    try self.init(
      start(try BodyReference(task: T.self), options) { writer, context in
        try encodeArguments(task, into: &writer, context)
      }, valueDecoder())
  }
}

// Without these a closure `{ ($0, 1) }` would silently make a ChildProcess<Void>.
extension ChildProcess {
  /// Starts a process whose body returns a tuple.
  public convenience init<
    each Argument: Transferable, R1: Transferable, R2: Transferable, each R: Transferable
  >(
    _ argument: repeat each Argument, options: ProcessOptions = .init(),
    body: @escaping @Sendable (repeat each Argument) throws -> (R1, R2, repeat each R)
  ) throws where Output == (R1, R2, repeat each R) {
    try self.init(
      start(try BodyReference(syncTuple: body), options) { writer, context in
        try encodeArguments(repeat each argument, into: &writer, context)
      }, tupleDecoder())
  }

  /// Starts a process whose body awaits and returns a tuple.
  public convenience init<
    each Argument: Transferable, R1: Transferable, R2: Transferable, each R: Transferable
  >(
    _ argument: repeat each Argument, options: ProcessOptions = .init(),
    body:
      @escaping @Sendable @concurrent (repeat each Argument) async throws -> (R1, R2, repeat each R)
  ) throws where Output == (R1, R2, repeat each R) {
    try self.init(
      start(try BodyReference(asyncTuple: body), options) { writer, context in
        try encodeArguments(repeat each argument, into: &writer, context)
      }, tupleDecoder())
  }
}

extension ChildProcess where Output == Void {
  /// Starts a process whose body returns nothing.
  public convenience init<each Argument: Transferable>(
    _ argument: repeat each Argument, options: ProcessOptions = .init(),
    body: @escaping @Sendable (repeat each Argument) throws -> Void
  ) throws {
    try self.init(
      start(try BodyReference(syncVoid: body), options) { writer, context in
        try encodeArguments(repeat each argument, into: &writer, context)
      }, voidDecoder())
  }

  /// Starts a process whose body awaits and returns nothing.
  public convenience init<each Argument: Transferable>(
    _ argument: repeat each Argument, options: ProcessOptions = .init(),
    body: @escaping @Sendable @concurrent (repeat each Argument) async throws -> Void
  ) throws {
    try self.init(
      start(try BodyReference(asyncVoid: body), options) { writer, context in
        try encodeArguments(repeat each argument, into: &writer, context)
      }, voidDecoder())
  }
}

// MARK: - A copy of the calling process

extension ChildProcess where Output: Codable {
  /// Copies the calling process as it is, so the body may capture anything, but cannot await.
  ///
  /// The body runs on a thread of its own, with the stack of a main thread and without the calling thread's
  /// thread-local values; the other threads are not copied. What they had locked stays locked in the copy, and
  /// so does whatever needs threads that it does not have: `Task`, `DispatchQueue`, processes and pools. A copy
  /// all of whose threads wait for such a lock ends itself: `value` then throws `.crashed` with a message that
  /// says so. Where the runtime's own locks are found held before the body begins, the fork is tried again, and
  /// throws `.startFailed` with `EDEADLK` after ten times.
  ///
  /// What the streams of this process hold and have not written stays this process's to write. `cancel()` is
  /// seen by nothing in the body: it ends the copy after its grace period. `options.startMethod` says nothing
  /// here; an `environment` replaces the copy's.
  ///
  /// Costs a fork, which grows with the process: 0.7 ms for a small one, 35 ms for one of 2 GB.
  ///
  /// - Throws: `.startFailed` when the kernel refuses a process or an option, `.invalidConfiguration`.
  public static func forking(
    options: ProcessOptions = .init(), body: () throws -> Output
  ) throws -> ChildProcess {
    let run = try ChildRun.forking(options) { outcome, context in
      try encodeResult(try body(), into: &outcome, context)
    }
    return ChildProcess(run, valueDecoder())
  }
}

extension ChildProcess {
  /// Copies the calling process as it is, for a body that returns a tuple; see the form with a result.
  public static func forking<R1: Transferable, R2: Transferable, each R: Transferable>(
    options: ProcessOptions = .init(), body: () throws -> (R1, R2, repeat each R)
  ) throws -> ChildProcess where Output == (R1, R2, repeat each R) {
    let run = try ChildRun.forking(options) { outcome, context in
      try encodeTuple(
        try body(), R1.self, R2.self, repeat (each R).self, into: &outcome, context)
    }
    return ChildProcess(run, tupleDecoder())
  }
}

extension ChildProcess where Output == Void {
  /// Copies the calling process as it is; see the form with a result.
  public static func forking(
    options: ProcessOptions = .init(), body: () throws -> Void
  ) throws -> ChildProcess {
    ChildProcess(try ChildRun.forking(options) { _, _ in try body() }, voidDecoder())
  }
}

// MARK: - Shared by all

/// Encodes the arguments of a call.
func encodeArguments<each A: Transferable>(
  _ argument: repeat each A, into writer: inout ByteWriter, _ context: TransferContext?
) throws {
  repeat try encodeResult(each argument, into: &writer, context)
}

private func start(
  _ body: BodyReference, _ options: ProcessOptions,
  _ arguments: (inout ByteWriter, OutgoingTransfer) throws -> Void
) throws -> ChildRun {
  try ChildRun.start(try body.name(), options, arguments)
}
