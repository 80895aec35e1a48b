// The name of a body: what a worker needs to find the same code with the same types.

/// How a body is called, which decides how its closure is rebuilt.
enum BodyShape: UInt8, Codable {
  case sync, async, syncVoid, asyncVoid, syncTuple, asyncTuple
  /// A `ProcessTask`, which needs its type alone.
  case task

  var isAsync: Bool { self == .async || self == .asyncVoid || self == .asyncTuple || self == .task }
}

/// How the arguments of a body are declared, which decides how they are passed.
enum BodyParameters: UInt8, Codable {
  /// `(repeat each A)`
  case pack
  /// `()`
  case nullary
  /// `(A)`
  case unary
  /// `(A, B, repeat each C)`
  case star
  /// `(A, repeat each C)`
  case lead
  /// `(Int, A)`, of which the types name only A
  case indexed
  /// Spans of shared arrays and a range; the type is that of an item.
  case arrays
}

/// A body by its code and types.
struct BodyName: Codable {
  /// The code of a closure without captures, or of a function reference in a debug build, which is a box
  /// around the inner function; a conversion of its type adds another box.
  indirect enum Code: Codable, Hashable {
    case none
    case plain(CodePlace)
    case box(outer: CodePlace, metadata: CodePlace, inner: Code)
  }

  var shape: BodyShape
  var parameters: BodyParameters
  var code: Code
  var arguments: [TypeName]
  /// One type, none for Void, two or more for a tuple.
  var results: [TypeName]
}
