// The words of a body's closure in a worker, rebuilt from its name.

internal import CMultiprocessing

/// Code and context of a closure without captures, checked to lie in the program.
struct CallableWords {
  let code: UInt
  let context: UInt

  init(_ name: BodyName) throws(ProcessError) {
    let words = try Self.words(name.code, isAsync: name.shape.isAsync)
    code = words.code
    context = words.context
  }

  private static func words(_ code: BodyName.Code, isAsync: Bool) throws(ProcessError)
    -> ClosureWords
  {
    switch code {
    case .none: throw .notInThisProcess("a body without code")
    case .plain(let place):
      return ClosureWords(code: try address(place, isData: isAsync), context: 0)
    case .box(let outer, let metadata, let inner):
      // What is inside may be synchronous where the outside awaits: the conversion is what the box is for.
      let function: ClosureWords
      do {
        function = try words(inner, isAsync: isAsync)
      } catch {
        guard isAsync else { throw error }
        function = try words(inner, isAsync: false)
      }
      return ClosureWords(
        code: try address(outer, isData: isAsync),
        context: mproc_closure_make_box(try address(metadata, isData: true), function))
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
