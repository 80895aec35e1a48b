// What tells one body from another within this process, without naming it.

internal import CMultiprocessing

struct BodyKey: Hashable {
  let shape: BodyShape
  let parameters: BodyParameters
  private let code: UInt
  /// Of a function reference in a debug build: what its boxes lead to.
  private let innerCode: UInt
  private let types: Int

  /// - Parameter types: A `typeHash`.
  init(_ shape: BodyShape, _ words: ClosureWords, parameters: BodyParameters = .pack, types: Int) {
    self.shape = shape
    self.parameters = parameters
    code = words.code
    innerCode = Self.innerCode(words.context)
    self.types = types
  }

  private static func innerCode(_ context: UInt) -> UInt {
    var inner = ClosureWords(code: 0, context: context)
    while inner.context != 0 {
      var metadata: UInt = 0
      var next = ClosureWords()
      // A closure with captures has no body, so this key is never found.
      guard unsafe mproc_closure_open_box(inner.context, &metadata, &next) else { return UInt.max }
      inner = next
    }
    return inner.code
  }
}

// MARK: - One initializer for each shape of a run

extension BodyKey {
  init<each A: Transferable, R: Transferable>(
    sync body: @escaping @Sendable (repeat each A) throws -> R
  ) {
    var words = ClosureWords()
    unsafe takeSync(body, &words)
    self.init(.sync, words, types: typeHash(R.self, repeat (each A).self))
  }

  init<each A: Transferable, R: Transferable>(
    async body: @escaping @Sendable @concurrent (repeat each A) async throws -> R
  ) {
    var words = ClosureWords()
    unsafe takeAsync(body, &words)
    self.init(.async, words, types: typeHash(R.self, repeat (each A).self))
  }

  init<each A: Transferable>(
    syncVoid body: @escaping @Sendable (repeat each A) throws -> Void
  ) {
    var words = ClosureWords()
    unsafe takeSyncVoid(body, &words)
    self.init(.syncVoid, words, types: typeHash(Void.self, repeat (each A).self))
  }

  init<each A: Transferable>(
    asyncVoid body: @escaping @Sendable @concurrent (repeat each A) async throws -> Void
  ) {
    var words = ClosureWords()
    unsafe takeAsyncVoid(body, &words)
    self.init(.asyncVoid, words, types: typeHash(Void.self, repeat (each A).self))
  }

  init<each A: Transferable, R1: Transferable, R2: Transferable, each R: Transferable>(
    syncTuple body: @escaping @Sendable (repeat each A) throws -> (R1, R2, repeat each R)
  ) {
    var words = ClosureWords()
    unsafe takeSyncTuple(body, &words)
    self.init(.syncTuple, words, types: typeHash(R1.self, R2.self, repeat (each A).self))
  }

  init<each A: Transferable, R1: Transferable, R2: Transferable, each R: Transferable>(
    asyncTuple body:
      @escaping @Sendable @concurrent (repeat each A) async throws -> (R1, R2, repeat each R)
  ) {
    var words = ClosureWords()
    unsafe takeAsyncTuple(body, &words)
    self.init(.asyncTuple, words, types: typeHash(R1.self, R2.self, repeat (each A).self))
  }
}
