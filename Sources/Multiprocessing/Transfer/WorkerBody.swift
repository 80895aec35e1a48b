// A body together with its arguments, for what a pool's configuration runs in every worker.

/// A body with its arguments, for `Configuration.onWorkerStart`.
///
///     configuration.onWorkerStart = WorkerBody("model.bin") { path in Model.shared.load(path) }
///
/// The body is a closure that captures nothing, or a function. Its arguments are encoded at once; what
/// cannot cross to another process is reported by `ProcessPool.init`.
public struct WorkerBody: Sendable {
  /// What `ProcessPool.init` needs of it.
  struct Prepared: Sendable {
    let reference: BodyReference
    let arguments: EncodedArguments
  }

  private let content: Result<Prepared, ProcessError>
  /// Whether the body may await.
  let isAsync: Bool

  /// A body that is called with these arguments.
  public init<each Argument: Transferable>(
    _ argument: repeat each Argument,
    body: @escaping @Sendable (repeat each Argument) throws -> Void
  ) {
    isAsync = false
    content = Result { () throws(ProcessError) in
      let reference = try BodyReference(syncVoid: body)
      return Prepared(reference: reference, arguments: try encoded(repeat each argument))
    }
  }

  /// A body that awaits.
  public init<each Argument: Transferable>(
    _ argument: repeat each Argument,
    body: @escaping @Sendable @concurrent (repeat each Argument) async throws -> Void
  ) {
    isAsync = true
    content = Result { () throws(ProcessError) in
      let reference = try BodyReference(asyncVoid: body)
      return Prepared(reference: reference, arguments: try encoded(repeat each argument))
    }
  }

  /// The body, which can be named, and its encoded arguments; throws `notTransferable` where there is no
  /// such thing.
  func prepared() throws(ProcessError) -> Prepared { try content.get() }
}

private func encoded<each Argument: Transferable>(
  _ argument: repeat each Argument
) throws(ProcessError) -> EncodedArguments {
  do {
    return try EncodedArguments { writer, context in
      try encodeArguments(repeat each argument, into: &writer, context)
    }
  } catch let error as ProcessError {
    throw error
  } catch {
    throw .cannotEncode((repeat each Argument).self, error)
  }
}
