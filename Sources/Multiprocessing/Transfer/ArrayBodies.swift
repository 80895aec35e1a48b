// Bodies of `forEach(over:)` and `map(over:into:)`, which work on parts of shared arrays in place.

internal import CMultiprocessing

/// An item of such a job: it knows the types of its body's spans.
protocol ArrayItem: Codable, Sendable {
  static func load(_ words: CallableWords) -> LoadedBody
}

/// A part of an array, to be changed in place.
struct ArrayPart<Element: BitwiseCopyable & Sendable>: ArrayItem {
  typealias Body = @Sendable (inout MutableSpan<Element>, Range<Int>) throws -> Void

  /// The part alone.
  var array: SharedArray<Element>
  /// Where it begins in the whole.
  var start: Int

  func call(_ body: Body) throws {
    let range = start..<start + array.count
    try array.withMutableSpan { span throws in try body(&span, range) }
  }

  static func load(_ words: CallableWords) -> LoadedBody {
    let body = makeArrayPart(words.code, words.context, Element.self)
    return .sync { reader, _, context in
      try decodeArgument(Self.self, from: &reader, context).call(body)
    }
  }
}

/// All of an array to be read, and a part of another to be written.
struct ArrayPair<Source: BitwiseCopyable & Sendable, Destination: BitwiseCopyable & Sendable>:
  ArrayItem
{
  typealias Body =
    @Sendable (Span<Source>, inout MutableSpan<Destination>, Range<Int>) throws -> Void

  var source: SharedArray<Source>
  var part: ArrayPart<Destination>

  func call(_ body: Body) throws {
    let range = part.start..<part.start + part.array.count
    try source.withSpan { source throws in
      try part.array.withMutableSpan { span throws in try body(source, &span, range) }
    }
  }

  static func load(_ words: CallableWords) -> LoadedBody {
    let body = makeArrayPair(words.code, words.context, Source.self, Destination.self)
    return .sync { reader, _, context in
      try decodeArgument(Self.self, from: &reader, context).call(body)
    }
  }
}

extension LoadedBody {
  static func openArrays(
    _ words: CallableWords, _ arguments: [any Transferable.Type]
  ) throws(ProcessError) -> LoadedBody {
    guard let item = arguments.first as? any ArrayItem.Type else {
      throw .notInThisProcess("a body over arrays")
    }
    return item.load(words)
  }
}

extension BodyReference {
  init<Element>(inPlace body: @escaping ArrayPart<Element>.Body) throws(ProcessError) {
    var words = ClosureWords()
    unsafe takeArrayPart(body, &words)
    try self.init(
      .syncVoid, words, parameters: .arrays, typeHash: typeHash(ArrayPart<Element>.self),
      arguments: { [ArrayPart<Element>.self] }, results: { [] })
  }

  init<Source, Destination>(
    stencil body: @escaping ArrayPair<Source, Destination>.Body
  ) throws(ProcessError) {
    var words = ClosureWords()
    unsafe takeArrayPair(body, &words)
    try self.init(
      .syncVoid, words, parameters: .arrays,
      typeHash: typeHash(ArrayPair<Source, Destination>.self),
      arguments: { [ArrayPair<Source, Destination>.self] }, results: { [] })
  }
}

// MARK: - Words, as in ClosureWords.swift

@_silgen_name("mproc_closure_take_array_part")
private func takeArrayPart<Element>(
  _ body: @escaping @Sendable (inout MutableSpan<Element>, Range<Int>) throws -> Void,
  _ words: UnsafeMutablePointer<ClosureWords>)
@_silgen_name("mproc_closure_make_array_part")
private func makeArrayPart<Element>(
  _ code: UInt, _ context: UInt, _: Element.Type
) -> @Sendable (inout MutableSpan<Element>, Range<Int>) throws -> Void

@_silgen_name("mproc_closure_take_array_pair")
private func takeArrayPair<Source, Destination>(
  _ body:
    @escaping @Sendable (Span<Source>, inout MutableSpan<Destination>, Range<Int>) throws -> Void,
  _ words: UnsafeMutablePointer<ClosureWords>)
@_silgen_name("mproc_closure_make_array_pair")
private func makeArrayPair<Source, Destination>(
  _ code: UInt, _ context: UInt, _: Source.Type, _: Destination.Type
) -> @Sendable (Span<Source>, inout MutableSpan<Destination>, Range<Int>) throws -> Void
