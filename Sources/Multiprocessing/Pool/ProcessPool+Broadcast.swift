// `broadcast` and `warmUp`: one body on every worker.

extension ProcessPool {
  /// Calls `body` once on every worker; results by worker index.
  ///
  /// - Throws: What `run` throws, for the first worker that fails.
  public func broadcast<Output: Transferable>(
    _ body: @escaping @Sendable () throws -> Output
  ) async throws -> [Output] {
    try await core.broadcast(
      try BodyReference(nullarySync: body), { receiver(for: Output.self) }, { _, _ in }
    ) {
      try decodeResult(Output.self, from: &$0)
    }
  }

  public func broadcast<Output: Transferable>(
    _ body: @escaping @Sendable @concurrent () async throws -> Output
  ) async throws -> [Output] {
    try await core.broadcast(
      try BodyReference(nullaryAsync: body), { receiver(for: Output.self) }, { _, _ in }
    ) {
      try decodeResult(Output.self, from: &$0)
    }
  }

  public func broadcast(_ body: @escaping @Sendable () throws -> Void) async throws {
    _ = try await core.broadcast(
      try BodyReference(nullarySyncVoid: body), { nil }, { _, _ in }, { _ in })
  }

  public func broadcast(_ body: @escaping @Sendable @concurrent () async throws -> Void)
    async throws
  {
    _ = try await core.broadcast(
      try BodyReference(nullaryAsyncVoid: body), { nil }, { _, _ in }, { _ in })
  }

  /// With arguments, the same for every worker.
  public func broadcast<First: Transferable, each Rest: Transferable, Output: Transferable>(
    _ first: First, _ rest: repeat each Rest,
    body: @escaping @Sendable (First, repeat each Rest) throws -> Output
  ) async throws -> [Output] {
    try await core.broadcast(
      try BodyReference(leadSync: body), { receiver(for: Output.self) },
      { try encodeArguments(first, repeat each rest, into: &$0, $1) },
      { try decodeResult(Output.self, from: &$0) })
  }

  public func broadcast<First: Transferable, each Rest: Transferable>(
    _ first: First, _ rest: repeat each Rest,
    body: @escaping @Sendable (First, repeat each Rest) throws -> Void
  ) async throws {
    _ = try await core.broadcast(
      try BodyReference(leadSyncVoid: body), { nil },
      { try encodeArguments(first, repeat each rest, into: &$0, $1) }, { _ in })
  }
}
