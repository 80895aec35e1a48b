// Bodies of `map` and `forEach` in a worker: those whose parameters are not one pack.

extension LoadedBody {
  private static func missing() -> ProcessError {
    .notInThisProcess("a body with fewer types than it has")
  }

  // MARK: - ()

  static func openNullary(
    _ words: CallableWords, _ shape: BodyShape, _ results: [any Transferable.Type]
  ) throws(ProcessError) -> LoadedBody {
    switch shape {
    case .syncVoid:
      let body = makeNullarySyncVoid(words.code, words.context)
      return .sync { _, _, _ in try body() }
    case .asyncVoid:
      let body = makeNullaryAsyncVoid(words.code, words.context)
      return .async { _, _, _ in try await body() }
    default:
      guard let result = results.first else { throw missing() }
      func withResult<R: Transferable>(_ result: R.Type) -> LoadedBody {
        if shape == .sync {
          let body = makeNullarySync(words.code, words.context, R.self)
          return .sync { _, writer, context in try encodeResult(try body(), into: &writer, context)
          }
        }
        let body = makeNullaryAsync(words.code, words.context, R.self)
        return .async { _, writer, context in
          try encodeResult(try await body(), into: &writer, context)
        }
      }
      return withResult(result)
    }
  }

  // MARK: - (A)

  static func openUnary(
    _ words: CallableWords, _ shape: BodyShape, _ arguments: [any Transferable.Type],
    _ results: [any Transferable.Type]
  ) throws(ProcessError) -> LoadedBody {
    guard let argument = arguments.first else { throw missing() }
    func withArgument<A: Transferable>(_ argument: A.Type) throws(ProcessError) -> LoadedBody {
      switch shape {
      case .syncVoid, .asyncVoid: return unaryVoid(words, shape, argument)
      case .sync, .async:
        guard let result = results.first else { throw missing() }
        func withResult<R: Transferable>(_ result: R.Type) -> LoadedBody {
          unary(words, shape, argument, result)
        }
        return withResult(result)
      case .syncTuple, .asyncTuple:
        guard results.count >= 2 else { throw missing() }
        let (first, second) = (results[0], results[1])
        func withFirst<R1: Transferable>(_ first: R1.Type) -> LoadedBody {
          unarySecond(words, shape, argument, first, second, results.dropFirst(2))
        }
        return withFirst(first)
      case .task: throw missing()
      }
    }
    return try withArgument(argument)
  }

  private static func unary<A: Transferable, R: Transferable>(
    _ words: CallableWords, _ shape: BodyShape, _: A.Type, _: R.Type
  ) -> LoadedBody {
    if shape == .sync {
      let body = makeUnarySync(words.code, words.context, R.self, A.self)
      return .sync { reader, writer, context in
        try encodeResult(
          try body(try decodeArgument(A.self, from: &reader, context)), into: &writer, context)
      }
    }
    let body = makeUnaryAsync(words.code, words.context, R.self, A.self)
    return .async { reader, writer, context in
      let argument = try decodeArgument(A.self, from: &reader, context)
      try encodeResult(try await body(argument), into: &writer, context)
    }
  }

  private static func unaryVoid<A: Transferable>(
    _ words: CallableWords, _ shape: BodyShape, _: A.Type
  ) -> LoadedBody {
    if shape == .syncVoid {
      let body = makeUnarySyncVoid(words.code, words.context, A.self)
      return .sync { reader, _, context in
        try body(try decodeArgument(A.self, from: &reader, context))
      }
    }
    let body = makeUnaryAsyncVoid(words.code, words.context, A.self)
    return .async { reader, _, context in
      try await body(try decodeArgument(A.self, from: &reader, context))
    }
  }

  private static func unarySecond<A: Transferable, R1: Transferable>(
    _ words: CallableWords, _ shape: BodyShape, _ argument: A.Type, _ first: R1.Type,
    _ second: any Transferable.Type, _ rest: ArraySlice<any Transferable.Type>
  ) -> LoadedBody {
    func withSecond<R2: Transferable>(_ second: R2.Type) -> LoadedBody {
      unaryTuple(words, shape, argument, first, second, rest)
    }
    return withSecond(second)
  }

  private static func unaryTuple<
    A: Transferable, R1: Transferable, R2: Transferable, each R: Transferable
  >(
    _ words: CallableWords, _ shape: BodyShape, _ argument: A.Type, _ first: R1.Type,
    _ second: R2.Type,
    _ rest: ArraySlice<any Transferable.Type>, _ done: repeat (each R).Type
  ) -> LoadedBody {
    if let next = rest.first {
      func add<S: Transferable>(_ type: S.Type) -> LoadedBody {
        unaryTuple(words, shape, argument, first, second, rest.dropFirst(), repeat each done, type)
      }
      return add(next)
    }
    if shape == .syncTuple {
      let body = makeUnarySyncTuple(words.code, words.context, (R1, R2, repeat each R).self, A.self)
      return .sync { reader, writer, context in
        try encodeTuple(
          try body(try decodeArgument(A.self, from: &reader, context)), R1.self, R2.self,
          repeat (each R).self, into: &writer, context)
      }
    }
    let body = makeUnaryAsyncTuple(words.code, words.context, (R1, R2, repeat each R).self, A.self)
    return .async { reader, writer, context in
      let argument = try decodeArgument(A.self, from: &reader, context)
      try encodeTuple(
        try await body(argument), R1.self, R2.self, repeat (each R).self, into: &writer, context)
    }
  }

  // MARK: - (A, B, repeat each C)

  static func openStar(
    _ words: CallableWords, _ shape: BodyShape, _ arguments: [any Transferable.Type],
    _ results: [any Transferable.Type]
  ) throws(ProcessError) -> LoadedBody {
    guard arguments.count >= 2 else { throw missing() }
    let (first, second) = (arguments[0], arguments[1])
    func withFirst<A: Transferable>(_ first: A.Type) throws(ProcessError) -> LoadedBody {
      try starSecond(words, shape, first, second, arguments.dropFirst(2), results.first)
    }
    return try withFirst(first)
  }

  private static func starSecond<A: Transferable>(
    _ words: CallableWords, _ shape: BodyShape, _ first: A.Type, _ second: any Transferable.Type,
    _ rest: ArraySlice<any Transferable.Type>, _ result: (any Transferable.Type)?
  ) throws(ProcessError) -> LoadedBody {
    func withSecond<B: Transferable>(_ second: B.Type) throws(ProcessError) -> LoadedBody {
      try starRest(words, shape, first, second, rest, result)
    }
    return try withSecond(second)
  }

  private static func starRest<A: Transferable, B: Transferable, each C: Transferable>(
    _ words: CallableWords, _ shape: BodyShape, _ first: A.Type, _ second: B.Type,
    _ rest: ArraySlice<any Transferable.Type>, _ result: (any Transferable.Type)?,
    _ done: repeat (each C).Type
  ) throws(ProcessError) -> LoadedBody {
    if let next = rest.first {
      func add<D: Transferable>(_ type: D.Type) throws(ProcessError) -> LoadedBody {
        try starRest(words, shape, first, second, rest.dropFirst(), result, repeat each done, type)
      }
      return try add(next)
    }
    if shape == .syncVoid || shape == .asyncVoid {
      return starVoid(words, shape, first, second, repeat each done)
    }
    guard let result else { throw missing() }
    func withResult<R: Transferable>(_ result: R.Type) -> LoadedBody {
      star(words, shape, result, first, second, repeat each done)
    }
    return withResult(result)
  }

  private static func star<A: Transferable, B: Transferable, each C: Transferable, R: Transferable>(
    _ words: CallableWords, _ shape: BodyShape, _: R.Type, _: A.Type, _: B.Type,
    _: repeat (each C).Type
  ) -> LoadedBody {
    if shape == .sync {
      let body = makeStarSync(
        words.code, words.context, R.self, A.self, B.self, repeat (each C).self)
      return .sync { reader, writer, context in
        let first = try decodeArgument(A.self, from: &reader, context)
        let second = try decodeArgument(B.self, from: &reader, context)
        try encodeResult(
          try body(first, second, repeat try decodeArgument((each C).self, from: &reader, context)),
          into: &writer, context)
      }
    }
    let body = makeStarAsync(
      words.code, words.context, R.self, A.self, B.self, repeat (each C).self)
    return .async { reader, writer, context in
      let first = try decodeArgument(A.self, from: &reader, context)
      let second = try decodeArgument(B.self, from: &reader, context)
      let rest = (repeat try decodeArgument((each C).self, from: &reader, context))
      try encodeResult(try await body(first, second, repeat each rest), into: &writer, context)
    }
  }

  private static func starVoid<A: Transferable, B: Transferable, each C: Transferable>(
    _ words: CallableWords, _ shape: BodyShape, _: A.Type, _: B.Type, _: repeat (each C).Type
  ) -> LoadedBody {
    if shape == .syncVoid {
      let body = makeStarSyncVoid(words.code, words.context, A.self, B.self, repeat (each C).self)
      return .sync { reader, _, context in
        let first = try decodeArgument(A.self, from: &reader, context)
        let second = try decodeArgument(B.self, from: &reader, context)
        try body(first, second, repeat try decodeArgument((each C).self, from: &reader, context))
      }
    }
    let body = makeStarAsyncVoid(words.code, words.context, A.self, B.self, repeat (each C).self)
    return .async { reader, _, context in
      let first = try decodeArgument(A.self, from: &reader, context)
      let second = try decodeArgument(B.self, from: &reader, context)
      let rest = (repeat try decodeArgument((each C).self, from: &reader, context))
      try await body(first, second, repeat each rest)
    }
  }

  // MARK: - (A, repeat each C)

  static func openLead(
    _ words: CallableWords, _ shape: BodyShape, _ arguments: [any Transferable.Type],
    _ results: [any Transferable.Type]
  ) throws(ProcessError) -> LoadedBody {
    guard let first = arguments.first else { throw missing() }
    func withFirst<A: Transferable>(_ first: A.Type) throws(ProcessError) -> LoadedBody {
      try leadRest(words, shape, first, arguments.dropFirst(), results.first)
    }
    return try withFirst(first)
  }

  private static func leadRest<A: Transferable, each C: Transferable>(
    _ words: CallableWords, _ shape: BodyShape, _ first: A.Type,
    _ rest: ArraySlice<any Transferable.Type>, _ result: (any Transferable.Type)?,
    _ done: repeat (each C).Type
  ) throws(ProcessError) -> LoadedBody {
    if let next = rest.first {
      func add<D: Transferable>(_ type: D.Type) throws(ProcessError) -> LoadedBody {
        try leadRest(words, shape, first, rest.dropFirst(), result, repeat each done, type)
      }
      return try add(next)
    }
    if shape == .syncVoid {
      let body = makeLeadSyncVoid(words.code, words.context, A.self, repeat (each C).self)
      return .sync { reader, _, context in
        let first = try decodeArgument(A.self, from: &reader, context)
        try body(first, repeat try decodeArgument((each C).self, from: &reader, context))
      }
    }
    guard let result else { throw missing() }
    func withResult<R: Transferable>(_ result: R.Type) -> LoadedBody {
      let body = makeLeadSync(words.code, words.context, R.self, A.self, repeat (each C).self)
      return .sync { reader, writer, context in
        let first = try decodeArgument(A.self, from: &reader, context)
        try encodeResult(
          try body(first, repeat try decodeArgument((each C).self, from: &reader, context)),
          into: &writer, context)
      }
    }
    return withResult(result)
  }

  // MARK: - (Int, A)

  static func openIndexed(
    _ words: CallableWords, _ shape: BodyShape, _ arguments: [any Transferable.Type],
    _ results: [any Transferable.Type]
  ) throws(ProcessError) -> LoadedBody {
    guard let argument = arguments.first, let result = results.first else { throw missing() }
    func withArgument<A: Transferable>(_ argument: A.Type) -> LoadedBody {
      func withResult<R: Transferable>(_ result: R.Type) -> LoadedBody {
        indexed(words, shape, argument, result)
      }
      return withResult(result)
    }
    return withArgument(argument)
  }

  private static func indexed<A: Transferable, R: Transferable>(
    _ words: CallableWords, _ shape: BodyShape, _: A.Type, _: R.Type
  ) -> LoadedBody {
    if shape == .sync {
      let body = makeIndexedSync(words.code, words.context, R.self, A.self)
      return .sync { reader, writer, context in
        let index = try decodeArgument(Int.self, from: &reader, context)
        try encodeResult(
          try body(index, try decodeArgument(A.self, from: &reader, context)), into: &writer,
          context)
      }
    }
    let body = makeIndexedAsync(words.code, words.context, R.self, A.self)
    return .async { reader, writer, context in
      let index = try decodeArgument(Int.self, from: &reader, context)
      let argument = try decodeArgument(A.self, from: &reader, context)
      try encodeResult(try await body(index, argument), into: &writer, context)
    }
  }
}
