// The words of a body's closure in a worker, rebuilt from its name.

internal import CMultiprocessing

/// Code and context of a closure without captures, checked to lie in the program.
struct CallableWords {
  let code: UInt
  let context: UInt

  init(_ name: BodyName) throws(ProcessError) {
    switch name.code {
    case .none: throw .notInThisProcess("a body without code")
    case .plain(let place):
      code = try Self.address(place, isData: name.shape.isAsync)
      context = 0
    case .box(let outer, let metadata, let inner):
      code = try Self.address(outer, isData: name.shape.isAsync)
      context = mproc_closure_make_box(
        try Self.address(metadata, isData: true), try Self.address(inner, isData: name.shape.isAsync))
    }
  }

  /// An async function's pointer leads to a record in the image's data, which leads to the code.
  private static func address(_ place: CodePlace, isData: Bool) throws(ProcessError) -> UInt {
    guard let (address, kind) = place.resolve(), kind == (isData ? .data : .code) else {
      throw .notInThisProcess("code at \(place)")
    }
    return address
  }
}
