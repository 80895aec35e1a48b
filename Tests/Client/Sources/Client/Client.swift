// Uses the package the way a newcomer would: one import, closure literals of every shape, function
// references, private types. That it compiles is half of what is checked; each call's result is the
// other half. Ends with "client passed", or with status 1 and what was wrong.

import Glibc
import Multiprocessing

@main
enum Client {
  static func main() async {
    do {
      for method in [StartMethod.forkServer, .spawn] {
        try await useChildren(ProcessOptions(startMethod: method))
        try await usePool(ProcessPool.Configuration { $0.startMethod = method })
      }
      try await useForking()
      print("client passed")
    } catch {
      print("client failed: \(error)")
      exit(1)
    }
  }
}

/// Ends the program when two values differ.
func expect<Value: Equatable>(
  _ found: Value, _ expected: Value, line: Int = #line, file: StaticString = #fileID
) throws {
  if found != expected { throw Mismatch(text: "\(file):\(line): \(found), expected \(expected)") }
}

struct Mismatch: Error, CustomStringConvertible {
  var text: String
  var description: String { text }
}

/// The error that `work` throws.
func error(of work: () async throws -> Void) async -> (any Error)? {
  do {
    try await work()
    return nil
  } catch {
    return error
  }
}
