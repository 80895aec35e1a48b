// What a person reads of an error that could not travel.

import Testing

@testable import Multiprocessing

private struct Hidden: Error {
  fileprivate struct Inner<Value>: Error {
    struct Deep: Error {}
  }
}

struct Visible: Error {}

@Suite("Errors as text")
struct RemoteErrorTests {
  @Test("types are named alike in all processes: without the addresses of private contexts")
  func names() {
    let names: [(any Any.Type, String)] = [
      (Visible.self, "MultiprocessingTests.Visible"), (Int.self, "Swift.Int"),
      (Hidden.self, "MultiprocessingTests.Hidden"),
      (Hidden.Inner<Int>.self, "MultiprocessingTests.Hidden.Inner<Swift.Int>"),
      (
        Hidden.Inner<[Hidden]>.Deep.self,
        "MultiprocessingTests.Hidden.Inner<Swift.Array<MultiprocessingTests.Hidden>>.Deep"
      ),
    ]
    for (type, name) in names {
      #expect(RemoteError.name(of: type) == name)
    }
    // Of a local type the optimiser keeps more of the context.
    struct Local: Error {}
    let local = RemoteError.name(of: Local.self)
    #expect(local.hasPrefix("MultiprocessingTests.") && local.hasSuffix(".Local"), "\(local)")
    #expect(!local.contains("$"), "\(local)")
    // What is taken out is there: else nothing was shown.
    #expect(String(reflecting: Hidden.self).contains("(unknown context at $"))
  }

  @Test("an error is its type and its text")
  func text() {
    let error = RemoteError(Visible())
    #expect(error == RemoteError(typeName: "MultiprocessingTests.Visible", message: "Visible()"))
    #expect("\(error)" == "MultiprocessingTests.Visible: Visible()")
    #expect(RemoteError(Visible(), message: "m").message == "m")
  }
}
