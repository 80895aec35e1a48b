// A body as the application holds it: the words of its closure, its types, and their names.
//
// Refusals are decided here, in the application, before anything is sent.

internal import CMultiprocessing

/// A body that can be named to a worker.
struct BodyReference: Sendable {
  /// A box around a function value.
  private struct Layer {
    var metadata: UInt
    var inner: ClosureWords
  }

  let key: BodyKey
  private let code: UInt
  private let layers: [Layer]
  private let argumentTypes: @Sendable () -> [Any.Type]
  private let resultTypes: @Sendable () -> [Any.Type]

  /// Throws `notTransferable` when the closure captures something.
  init(
    _ shape: BodyShape, _ words: ClosureWords, parameters: BodyParameters = .pack, typeHash: Int,
    arguments: @escaping @Sendable () -> [Any.Type], results: @escaping @Sendable () -> [Any.Type]
  ) throws(ProcessError) {
    guard let layers = Self.open(words) else { throw .captures(arguments(), results()) }
    key = BodyKey(shape, words, parameters: parameters, types: typeHash)
    code = words.code
    self.layers = layers
    argumentTypes = arguments
    resultTypes = results
  }

  /// The name to send; made once per body and pool. Throws `notTransferable` for a type without a name
  /// and for code that is in no image.
  func name() throws(ProcessError) -> BodyName {
    var code = BodyName.Code.none
    if key.shape != .task {
      // From the innermost function outwards.
      code = try Self.place(layers.last?.inner.code ?? self.code)
      for index in layers.indices.reversed() {
        let outer = index == 0 ? self.code : layers[index - 1].inner.code
        guard let metadata = CodePlace(address: layers[index].metadata),
          let outer = CodePlace(address: outer)
        else { throw .captures(argumentTypes(), resultTypes()) }
        code = .box(outer: outer, metadata: metadata, inner: code)
      }
    }
    return BodyName(
      shape: key.shape, parameters: key.parameters, code: code,
      arguments: try Self.names(argumentTypes()),
      results: try Self.names(resultTypes()))
  }

  /// The type of a `ProcessTask`, the type of any other body.
  var label: String {
    let (arguments, results) = (argumentTypes(), resultTypes())
    if key.shape == .task, let task = arguments.first { return "\(task)" }
    let names = results.map { "\($0)" }.joined(separator: ", ")
    let list = arguments.map { "\($0)" }.joined(separator: ", ")
    return "(\(list)) -> " + (results.count == 1 ? names : "(\(names))")
  }

  private static func place(_ address: UInt) throws(ProcessError) -> BodyName.Code {
    guard let place = CodePlace(address: address) else { throw .unknownCode() }
    return .plain(place)
  }

  /// The boxes of a function reference from the outside in, none for a closure without captures; nil when it
  /// captures something else.
  private static func open(_ words: ClosureWords) -> [Layer]? {
    var layers: [Layer] = []
    var context = words.context
    while context != 0 {
      var metadata: UInt = 0
      var inner = ClosureWords()
      guard layers.count < 4, unsafe mproc_closure_open_box(context, &metadata, &inner) else {
        return nil
      }
      layers.append(Layer(metadata: metadata, inner: inner))
      context = inner.context
    }
    return layers
  }

  private static func names(_ types: [Any.Type]) throws(ProcessError) -> [TypeName] {
    var names: [TypeName] = []
    for type in types {
      guard let name = TypeName(type) else { throw .unnameable(type) }
      names.append(name)
    }
    return names
  }
}

// MARK: - One initializer for each shape

extension BodyReference {
  init<each A: Transferable, R: Transferable>(
    sync body: @escaping @Sendable (repeat each A) throws -> R
  ) throws(ProcessError) {
    var words = ClosureWords()
    unsafe takeSync(body, &words)
    try self.init(
      .sync, words, typeHash: typeHash(R.self, repeat (each A).self),
      arguments: { typeList(repeat (each A).self) }, results: { [R.self] })
  }

  init<each A: Transferable, R: Transferable>(
    async body: @escaping @Sendable @concurrent (repeat each A) async throws -> R
  ) throws(ProcessError) {
    var words = ClosureWords()
    unsafe takeAsync(body, &words)
    try self.init(
      .async, words, typeHash: typeHash(R.self, repeat (each A).self),
      arguments: { typeList(repeat (each A).self) }, results: { [R.self] })
  }

  init<each A: Transferable>(
    syncVoid body: @escaping @Sendable (repeat each A) throws -> Void
  ) throws(ProcessError) {
    var words = ClosureWords()
    unsafe takeSyncVoid(body, &words)
    try self.init(
      .syncVoid, words, typeHash: typeHash(Void.self, repeat (each A).self),
      arguments: { typeList(repeat (each A).self) }, results: { [] })
  }

  init<each A: Transferable>(
    asyncVoid body: @escaping @Sendable @concurrent (repeat each A) async throws -> Void
  ) throws(ProcessError) {
    var words = ClosureWords()
    unsafe takeAsyncVoid(body, &words)
    try self.init(
      .asyncVoid, words, typeHash: typeHash(Void.self, repeat (each A).self),
      arguments: { typeList(repeat (each A).self) }, results: { [] })
  }

  init<each A: Transferable, R1: Transferable, R2: Transferable, each R: Transferable>(
    syncTuple body: @escaping @Sendable (repeat each A) throws -> (R1, R2, repeat each R)
  ) throws(ProcessError) {
    var words = ClosureWords()
    unsafe takeSyncTuple(body, &words)
    try self.init(
      .syncTuple, words, typeHash: typeHash(R1.self, R2.self, repeat (each A).self),
      arguments: { typeList(repeat (each A).self) },
      results: { typeList(R1.self, R2.self, repeat (each R).self) })
  }

  init<each A: Transferable, R1: Transferable, R2: Transferable, each R: Transferable>(
    asyncTuple body:
      @escaping @Sendable @concurrent (repeat each A) async throws -> (R1, R2, repeat each R)
  ) throws(ProcessError) {
    var words = ClosureWords()
    unsafe takeAsyncTuple(body, &words)
    try self.init(
      .asyncTuple, words, typeHash: typeHash(R1.self, R2.self, repeat (each A).self),
      arguments: { typeList(repeat (each A).self) },
      results: { typeList(R1.self, R2.self, repeat (each R).self) })
  }

  init<T: ProcessTask>(task: T.Type) throws(ProcessError) {
    try self.init(
      .task, ClosureWords(), typeHash: typeHash(T.self), arguments: { [T.self] },
      results: { [T.Output.self] })
  }
}

/// The types of a pack as values.
func typeList<each T>(_ types: repeat (each T).Type) -> [Any.Type] {
  var list: [Any.Type] = []
  for type in repeat each types { list.append(type) }
  return list
}

/// Tells the types of one body from those of another whose code the linker may have folded with it.
func typeHash<each T>(_ types: repeat (each T).Type) -> Int {
  var hash = 0
  for type in repeat each types {
    hash = hash &* 31 &+ Int(bitPattern: ObjectIdentifier(type))
  }
  return hash
}

// MARK: - Refusals

extension ProcessError {
  fileprivate static func captures(_ arguments: [Any.Type], _ results: [Any.Type]) -> ProcessError {
    let list = arguments.map { "\($0)" }.joined(separator: ", ")
    let result =
      results.count == 1 ? "\(results[0])" : "(\(results.map { "\($0)" }.joined(separator: ", ")))"
    return .notTransferable(
      TransferFailure(
        typeName: "the body (\(list)) -> \(result)",
        reason:
          "it captures variables of the surrounding code (in a debug build also the type parameters of"
          + " a generic function), and a worker has its own memory",
        cure:
          "pass what it needs as an argument, or put it into the stored properties of a ProcessTask,"
          + " or use ChildProcess.forking"))
  }

  fileprivate static func unnameable(_ type: Any.Type) -> ProcessError {
    .notTransferable(
      TransferFailure(
        typeName: "\(type)", reason: "the type has no name by which a worker could find it",
        cure: "make it internal or public, or not generic over a private type"))
  }

  fileprivate static func unknownCode() -> ProcessError {
    .notTransferable(
      TransferFailure(
        typeName: "the body",
        reason: "its code is not part of the program or of a library it was linked with",
        cure: "pass a function or a closure of the program"))
  }
}
