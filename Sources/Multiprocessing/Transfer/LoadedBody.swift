// A body as a worker holds it: found by its name, ready to be called on encoded arguments.

/// A body that can be called: reads its arguments, runs, appends its encoded result.
///
/// Errors that the arguments or the result cause are `ProcessError.notTransferable`; everything else is
/// the body's own.
enum LoadedBody {
  typealias Sync = (inout ByteReader, inout ByteWriter, TransferContext?) throws -> Void
  typealias Async = (inout ByteReader, inout ByteWriter, TransferContext?) async throws -> Void

  case sync(Sync)
  case async(Async)

  /// Throws `notTransferable` when the code or a type is not in this process.
  init(_ name: BodyName) throws(ProcessError) {
    var arguments: [any Transferable.Type] = []
    var results: [any Transferable.Type] = []
    for type in name.arguments { arguments.append(try Self.resolve(type)) }
    for type in name.results { results.append(try Self.resolve(type)) }
    if name.shape == .task {
      guard let type = arguments.first as? any ProcessTask.Type else {
        throw .notInThisProcess("\(name)")
      }
      self = Self.task(type)
    } else {
      let words = try CallableWords(name)
      switch name.parameters {
      case .pack: self = try Self.open(words, name.shape, arguments[...], results[...])
      case .nullary: self = try Self.openNullary(words, name.shape, results)
      case .unary: self = try Self.openUnary(words, name.shape, arguments, results)
      case .star: self = try Self.openStar(words, name.shape, arguments, results)
      case .lead: self = try Self.openLead(words, name.shape, arguments, results)
      case .indexed: self = try Self.openIndexed(words, name.shape, arguments, results)
      case .arrays: self = try Self.openArrays(words, arguments)
      }
    }
  }

  private static func resolve(_ name: TypeName) throws(ProcessError) -> any Transferable.Type {
    guard let type = name.resolve() as? any Transferable.Type else {
      throw .notInThisProcess("\(name)")
    }
    return type
  }

  private static func task<T: ProcessTask>(_: T.Type) -> LoadedBody {
    .async { reader, writer, context in
      let task = try decodeArgument(T.self, from: &reader, context)
      try encodeResult(try await task.run(), into: &writer, context)
    }
  }
}

// MARK: - From lists of types to type packs

extension LoadedBody {
  /// Moves one argument type after the other into the pack, then builds the closure.
  private static func open<each A: Transferable>(
    _ words: CallableWords, _ shape: BodyShape, _ rest: ArraySlice<any Transferable.Type>,
    _ results: ArraySlice<any Transferable.Type>, _ done: repeat (each A).Type
  ) throws(ProcessError) -> LoadedBody {
    if let next = rest.first {
      func add<B: Transferable>(_ type: B.Type) throws(ProcessError) -> LoadedBody {
        try open(words, shape, rest.dropFirst(), results, repeat each done, type)
      }
      return try add(next)
    }
    switch shape {
    case .syncVoid, .asyncVoid: return void(words, shape, repeat each done)
    case .sync, .async:
      guard let result = results.first else {
        throw .notInThisProcess("a body without a result type")
      }
      func single<R: Transferable>(_ type: R.Type) -> LoadedBody {
        Self.single(words, shape, type, repeat each done)
      }
      return single(result)
    case .syncTuple, .asyncTuple:
      guard results.count >= 2 else { throw .notInThisProcess("a tuple of fewer than two types") }
      let (first, second) = (results[results.startIndex], results[results.startIndex + 1])
      func withFirst<R1: Transferable>(_ first: R1.Type) -> LoadedBody {
        openSecond(words, shape, results.dropFirst(2), Pack<repeat each A>(), first, second)
      }
      return withFirst(first)
    case .task: throw .notInThisProcess("a task with code")
    }
  }

  private static func openSecond<each A: Transferable, R1: Transferable>(
    _ words: CallableWords, _ shape: BodyShape, _ rest: ArraySlice<any Transferable.Type>,
    _ arguments: Pack<repeat each A>, _ first: R1.Type, _ second: any Transferable.Type
  ) -> LoadedBody {
    func withSecond<R2: Transferable>(_ second: R2.Type) -> LoadedBody {
      openTuple(words, shape, rest, arguments, first, second)
    }
    return withSecond(second)
  }

  private static func openTuple<
    each A: Transferable, R1: Transferable, R2: Transferable, each R: Transferable
  >(
    _ words: CallableWords, _ shape: BodyShape, _ rest: ArraySlice<any Transferable.Type>,
    _ arguments: Pack<repeat each A>, _ first: R1.Type, _ second: R2.Type,
    _ done: repeat (each R).Type
  ) -> LoadedBody {
    guard let next = rest.first else {
      return tuple(words, shape, arguments, first, second, repeat each done)
    }
    func add<B: Transferable>(_ type: B.Type) -> LoadedBody {
      openTuple(words, shape, rest.dropFirst(), arguments, first, second, repeat each done, type)
    }
    return add(next)
  }
}

/// A type pack as one value, so that a function can take two of them.
struct Pack<each A> {}

// MARK: - One builder for each shape

extension LoadedBody {
  private static func single<each A: Transferable, R: Transferable>(
    _ words: CallableWords, _ shape: BodyShape, _: R.Type, _: repeat (each A).Type
  ) -> LoadedBody {
    if shape == .sync {
      let body = makeSync(words.code, words.context, R.self, repeat (each A).self)
      return .sync { reader, writer, context in
        try encodeResult(
          try body(repeat try decodeArgument((each A).self, from: &reader, context)), into: &writer,
          context)
      }
    }
    let body = makeAsync(words.code, words.context, R.self, repeat (each A).self)
    return .async { reader, writer, context in
      let arguments = (repeat try decodeArgument((each A).self, from: &reader, context))
      try encodeResult(try await body(repeat each arguments), into: &writer, context)
    }
  }

  private static func void<each A: Transferable>(
    _ words: CallableWords, _ shape: BodyShape, _: repeat (each A).Type
  ) -> LoadedBody {
    if shape == .syncVoid {
      let body = makeSyncVoid(words.code, words.context, repeat (each A).self)
      return .sync { reader, _, context in
        try body(repeat try decodeArgument((each A).self, from: &reader, context))
      }
    }
    let body = makeAsyncVoid(words.code, words.context, repeat (each A).self)
    return .async { reader, _, context in
      let arguments = (repeat try decodeArgument((each A).self, from: &reader, context))
      try await body(repeat each arguments)
    }
  }

  private static func tuple<
    each A: Transferable, R1: Transferable, R2: Transferable, each R: Transferable
  >(
    _ words: CallableWords, _ shape: BodyShape, _: Pack<repeat each A>, _: R1.Type, _: R2.Type,
    _: repeat (each R).Type
  ) -> LoadedBody {
    if shape == .syncTuple {
      let body = makeSyncTuple(
        words.code, words.context, (R1, R2, repeat each R).self, repeat (each A).self)
      return .sync { reader, writer, context in
        try encodeTuple(
          try body(repeat try decodeArgument((each A).self, from: &reader, context)),
          R1.self, R2.self, repeat (each R).self, into: &writer, context)
      }
    }
    let body = makeAsyncTuple(
      words.code, words.context, (R1, R2, repeat each R).self, repeat (each A).self)
    return .async { reader, writer, context in
      let arguments = (repeat try decodeArgument((each A).self, from: &reader, context))
      try encodeTuple(
        try await body(repeat each arguments), R1.self, R2.self, repeat (each R).self,
        into: &writer,
        context)
    }
  }
}

// MARK: - Values

/// As `ValueCoding.decode`, with an error that names the type.
@inline(__always)
func decodeArgument<T: Transferable>(
  _ type: T.Type, from reader: inout ByteReader, _ context: TransferContext?
) throws -> T {
  if ValueCoding.isBytes(T.self) {
    return try ValueCoding.decode(type, from: &reader, context: context)
  }
  do {
    return try ValueCoding.decode(type, from: &reader, context: context)
  } catch {
    throw ProcessError.cannotDecode(T.self, error)
  }
}

/// As `ValueCoding.encode`, with an error that names the type.
@inline(__always)
func encodeResult<T: Transferable>(
  _ value: T, into writer: inout ByteWriter, _ context: TransferContext?
) throws {
  if ValueCoding.isBytes(T.self) {
    writer.appendValue(value)
    return
  }
  do {
    try ValueCoding.encode(value, into: &writer, context: context)
  } catch {
    throw ProcessError.cannotEncode(T.self, error)
  }
}

extension ProcessError {
  static func notInThisProcess(_ what: String) -> ProcessError {
    .notTransferable(
      TransferFailure(
        typeName: what, reason: "the worker does not have it",
        cure: "link the library that holds it instead of opening it with dlopen"))
  }

  static func cannotEncode(_ type: Any.Type, _ error: any Error) -> ProcessError {
    .notTransferable(
      TransferFailure(
        typeName: "\(type)", reason: "encoding a value failed: \(error)",
        cure: "correct its encode(to:), or send another type"))
  }

  static func cannotDecode(_ type: Any.Type, _ error: any Error) -> ProcessError {
    .notTransferable(
      TransferFailure(
        typeName: "\(type)", reason: "decoding a value failed: \(error)",
        cure: "correct its init(from:), or send another type"))
  }
}
