// The environment of a child, fixed when its program image starts.

internal import Glibc

/// "NAME=value" strings, in order of the name; equal environments share a fork server.
struct ChildEnvironment: Hashable, Sendable {
  let strings: [String]

  /// `variables` is the whole environment; nil is the application's as it is now. `defaults` are set
  /// where it does not name them.
  init(_ variables: [String: String]?, defaults: [String: String]) {
    var all = variables ?? Self.current()
    // The runtime's backtracer costs 20 to 80 ms a crash and would run for each of a crash loop.
    all["SWIFT_BACKTRACE"] = all["SWIFT_BACKTRACE"] ?? "enable=no"
    all.merge(defaults) { own, _ in own }
    strings = all.map { "\($0)=\($1)" }.sorted()
  }

  private static func current() -> [String: String] {
    var variables: [String: String] = [:]
    var next = unsafe environ
    while let entry = unsafe next.pointee {
      let text = unsafe String(cString: entry)
      if let equals = text.dropFirst().firstIndex(of: "=") {
        variables[String(text[..<equals])] = String(text[text.index(after: equals)...])
      }
      unsafe next += 1
    }
    return variables
  }

  /// Calls `body` with the form that exec takes.
  func withPointers<R>(
    _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R
  ) -> R {
    var pointers = unsafe strings.map { unsafe strdup($0) }
    unsafe pointers.append(nil)
    defer { for index in unsafe pointers.indices { unsafe free(pointers[index]) } }
    return unsafe pointers.withUnsafeBufferPointer { buffer in
      unsafe body(buffer.baseAddress!)  // Never empty: it ends with nil.
    }
  }
}
