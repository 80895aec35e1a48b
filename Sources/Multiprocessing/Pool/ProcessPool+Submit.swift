// `submit`: one body, a result later. One form for each shape of body.

extension ProcessPool {
  /// Calls `body` with these arguments on a worker, and returns at once: Python's `executor.submit`.
  ///
  /// Every error comes out of the task's value, one that keeps it from being sent too.
  ///
  /// - Parameter timeout: From now on; ends the work too. nil: `Configuration.taskTimeout`.
  public func submit<each Argument: Transferable, Output: Transferable>(
    _ argument: repeat each Argument, timeout: Duration? = nil,
    body: @escaping @Sendable (repeat each Argument) throws -> Output
  ) -> PoolTask<Output> {
    PoolTask(self, { try decodeResult(Output.self, from: &$0) }) {
      try core.submit(try core.bodies.body(for: BodyReference(sync: body)), timeout: timeout) {
        try encodeArguments(repeat each argument, into: &$0, $1)
      }
    }
  }

  public func submit<each Argument: Transferable, Output: Transferable>(
    _ argument: repeat each Argument, timeout: Duration? = nil,
    body: @escaping @Sendable @concurrent (repeat each Argument) async throws -> Output
  ) -> PoolTask<Output> {
    PoolTask(self, { try decodeResult(Output.self, from: &$0) }) {
      try core.submit(try core.bodies.body(for: BodyReference(async: body)), timeout: timeout) {
        try encodeArguments(repeat each argument, into: &$0, $1)
      }
    }
  }

  public func submit<each Argument: Transferable>(
    _ argument: repeat each Argument, timeout: Duration? = nil,
    body: @escaping @Sendable (repeat each Argument) throws -> Void
  ) -> PoolTask<Void> {
    PoolTask(self, { _ in }) {
      try core.submit(try core.bodies.body(for: BodyReference(syncVoid: body)), timeout: timeout) {
        try encodeArguments(repeat each argument, into: &$0, $1)
      }
    }
  }

  public func submit<each Argument: Transferable>(
    _ argument: repeat each Argument, timeout: Duration? = nil,
    body: @escaping @Sendable @concurrent (repeat each Argument) async throws -> Void
  ) -> PoolTask<Void> {
    PoolTask(self, { _ in }) {
      try core.submit(try core.bodies.body(for: BodyReference(asyncVoid: body)), timeout: timeout) {
        try encodeArguments(repeat each argument, into: &$0, $1)
      }
    }
  }

  public func submit<
    each Argument: Transferable, R1: Transferable, R2: Transferable, each R: Transferable
  >(
    _ argument: repeat each Argument, timeout: Duration? = nil,
    body: @escaping @Sendable (repeat each Argument) throws -> (R1, R2, repeat each R)
  ) -> PoolTask<(R1, R2, repeat each R)> {
    PoolTask(self, { try decodeResult(R1.self, R2.self, repeat (each R).self, from: &$0) }) {
      try core.submit(try core.bodies.body(for: BodyReference(syncTuple: body)), timeout: timeout) {
        try encodeArguments(repeat each argument, into: &$0, $1)
      }
    }
  }

  public func submit<
    each Argument: Transferable, R1: Transferable, R2: Transferable, each R: Transferable
  >(
    _ argument: repeat each Argument, timeout: Duration? = nil,
    body:
      @escaping @Sendable @concurrent (repeat each Argument) async throws -> (
        R1, R2, repeat each R
      )
  ) -> PoolTask<(R1, R2, repeat each R)> {
    PoolTask(self, { try decodeResult(R1.self, R2.self, repeat (each R).self, from: &$0) }) {
      try core.submit(try core.bodies.body(for: BodyReference(asyncTuple: body)), timeout: timeout)
      {
        try encodeArguments(repeat each argument, into: &$0, $1)
      }
    }
  }

  public func submit<T: ProcessTask>(_ task: T, timeout: Duration? = nil) -> PoolTask<T.Output> {
    PoolTask(self, { try decodeResult(T.Output.self, from: &$0) }) {
      try core.submit(try core.bodies.body(for: BodyReference(task: T.self)), timeout: timeout) {
        try encodeArguments(task, into: &$0, $1)
      }
    }
  }
}
