// Bodies of `map`, `forEach` and `broadcast`, one initializer for each shape and each way to declare the parameters.

internal import CMultiprocessing

extension BodyReference {
  init<R: Transferable>(nullarySync body: @escaping @Sendable () throws -> R) throws(ProcessError) {
    var words = ClosureWords()
    unsafe takeNullarySync(body, &words)
    try self.init(
      .sync, words, parameters: .nullary, typeHash: typeHash(R.self), arguments: { [] },
      results: { [R.self] })
  }

  init<R: Transferable>(
    nullaryAsync body: @escaping @Sendable @concurrent () async throws -> R
  ) throws(ProcessError) {
    var words = ClosureWords()
    unsafe takeNullaryAsync(body, &words)
    try self.init(
      .async, words, parameters: .nullary, typeHash: typeHash(R.self), arguments: { [] },
      results: { [R.self] })
  }

  init(nullarySyncVoid body: @escaping @Sendable () throws -> Void) throws(ProcessError) {
    var words = ClosureWords()
    unsafe takeNullarySyncVoid(body, &words)
    try self.init(
      .syncVoid, words, parameters: .nullary, typeHash: 0, arguments: { [] }, results: { [] })
  }

  init(nullaryAsyncVoid body: @escaping @Sendable @concurrent () async throws -> Void)
    throws(ProcessError)
  {
    var words = ClosureWords()
    unsafe takeNullaryAsyncVoid(body, &words)
    try self.init(
      .asyncVoid, words, parameters: .nullary, typeHash: 0, arguments: { [] }, results: { [] })
  }

  init<A: Transferable, R: Transferable>(
    unarySync body: @escaping @Sendable (A) throws -> R
  ) throws(ProcessError) {
    var words = ClosureWords()
    unsafe takeUnarySync(body, &words)
    try self.init(
      .sync, words, parameters: .unary, typeHash: typeHash(R.self, A.self), arguments: { [A.self] },
      results: { [R.self] })
  }

  init<A: Transferable, R: Transferable>(
    unaryAsync body: @escaping @Sendable @concurrent (A) async throws -> R
  ) throws(ProcessError) {
    var words = ClosureWords()
    unsafe takeUnaryAsync(body, &words)
    try self.init(
      .async, words, parameters: .unary, typeHash: typeHash(R.self, A.self),
      arguments: { [A.self] },
      results: { [R.self] })
  }

  init<A: Transferable>(
    unarySyncVoid body: @escaping @Sendable (A) throws -> Void
  ) throws(ProcessError) {
    var words = ClosureWords()
    unsafe takeUnarySyncVoid(body, &words)
    try self.init(
      .syncVoid, words, parameters: .unary, typeHash: typeHash(A.self), arguments: { [A.self] },
      results: { [] })
  }

  init<A: Transferable>(
    unaryAsyncVoid body: @escaping @Sendable @concurrent (A) async throws -> Void
  ) throws(ProcessError) {
    var words = ClosureWords()
    unsafe takeUnaryAsyncVoid(body, &words)
    try self.init(
      .asyncVoid, words, parameters: .unary, typeHash: typeHash(A.self), arguments: { [A.self] },
      results: { [] })
  }

  init<A: Transferable, R1: Transferable, R2: Transferable, each R: Transferable>(
    unarySyncTuple body: @escaping @Sendable (A) throws -> (R1, R2, repeat each R)
  ) throws(ProcessError) {
    var words = ClosureWords()
    unsafe takeUnarySyncTuple(body, &words)
    try self.init(
      .syncTuple, words, parameters: .unary, typeHash: typeHash(R1.self, R2.self, A.self),
      arguments: { [A.self] },
      results: { typeList(R1.self, R2.self, repeat (each R).self) })
  }

  init<A: Transferable, R1: Transferable, R2: Transferable, each R: Transferable>(
    unaryAsyncTuple body:
      @escaping @Sendable @concurrent (A) async throws -> (R1, R2, repeat each R)
  ) throws(ProcessError) {
    var words = ClosureWords()
    unsafe takeUnaryAsyncTuple(body, &words)
    try self.init(
      .asyncTuple, words, parameters: .unary, typeHash: typeHash(R1.self, R2.self, A.self),
      arguments: { [A.self] },
      results: { typeList(R1.self, R2.self, repeat (each R).self) })
  }

  init<A: Transferable, B: Transferable, each C: Transferable, R: Transferable>(
    starSync body: @escaping @Sendable (A, B, repeat each C) throws -> R
  ) throws(ProcessError) {
    var words = ClosureWords()
    unsafe takeStarSync(body, &words)
    try self.init(
      .sync, words, parameters: .star,
      typeHash: typeHash(R.self, A.self, B.self, repeat (each C).self),
      arguments: { typeList(A.self, B.self, repeat (each C).self) }, results: { [R.self] })
  }

  init<A: Transferable, B: Transferable, each C: Transferable, R: Transferable>(
    starAsync body: @escaping @Sendable @concurrent (A, B, repeat each C) async throws -> R
  ) throws(ProcessError) {
    var words = ClosureWords()
    unsafe takeStarAsync(body, &words)
    try self.init(
      .async, words, parameters: .star,
      typeHash: typeHash(R.self, A.self, B.self, repeat (each C).self),
      arguments: { typeList(A.self, B.self, repeat (each C).self) }, results: { [R.self] })
  }

  init<A: Transferable, B: Transferable, each C: Transferable>(
    starSyncVoid body: @escaping @Sendable (A, B, repeat each C) throws -> Void
  ) throws(ProcessError) {
    var words = ClosureWords()
    unsafe takeStarSyncVoid(body, &words)
    try self.init(
      .syncVoid, words, parameters: .star, typeHash: typeHash(A.self, B.self, repeat (each C).self),
      arguments: { typeList(A.self, B.self, repeat (each C).self) }, results: { [] })
  }

  init<A: Transferable, B: Transferable, each C: Transferable>(
    starAsyncVoid body: @escaping @Sendable @concurrent (A, B, repeat each C) async throws -> Void
  ) throws(ProcessError) {
    var words = ClosureWords()
    unsafe takeStarAsyncVoid(body, &words)
    try self.init(
      .asyncVoid, words, parameters: .star,
      typeHash: typeHash(A.self, B.self, repeat (each C).self),
      arguments: { typeList(A.self, B.self, repeat (each C).self) }, results: { [] })
  }

  init<A: Transferable, each C: Transferable, R: Transferable>(
    leadSync body: @escaping @Sendable (A, repeat each C) throws -> R
  ) throws(ProcessError) {
    var words = ClosureWords()
    unsafe takeLeadSync(body, &words)
    try self.init(
      .sync, words, parameters: .lead, typeHash: typeHash(R.self, A.self, repeat (each C).self),
      arguments: { typeList(A.self, repeat (each C).self) }, results: { [R.self] })
  }

  init<A: Transferable, each C: Transferable>(
    leadSyncVoid body: @escaping @Sendable (A, repeat each C) throws -> Void
  ) throws(ProcessError) {
    var words = ClosureWords()
    unsafe takeLeadSyncVoid(body, &words)
    try self.init(
      .syncVoid, words, parameters: .lead, typeHash: typeHash(A.self, repeat (each C).self),
      arguments: { typeList(A.self, repeat (each C).self) }, results: { [] })
  }

  init<A: Transferable, R: Transferable>(
    indexedSync body: @escaping @Sendable (Int, A) throws -> R
  ) throws(ProcessError) {
    var words = ClosureWords()
    unsafe takeIndexedSync(body, &words)
    try self.init(
      .sync, words, parameters: .indexed, typeHash: typeHash(R.self, A.self),
      arguments: { [A.self] },
      results: { [R.self] })
  }

  init<A: Transferable, R: Transferable>(
    indexedAsync body: @escaping @Sendable @concurrent (Int, A) async throws -> R
  ) throws(ProcessError) {
    var words = ClosureWords()
    unsafe takeIndexedAsync(body, &words)
    try self.init(
      .async, words, parameters: .indexed, typeHash: typeHash(R.self, A.self),
      arguments: { [A.self] },
      results: { [R.self] })
  }
}
