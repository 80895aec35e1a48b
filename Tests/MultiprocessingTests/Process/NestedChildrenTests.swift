// Children of children, to any depth.

import Foundation
import Glibc
import Multiprocessing
import Testing

/// Starts a child in a child until `depth` is 0; the innermost process writes its place last. Each process notes
/// its identifier at its depth.
private struct Nest: ProcessTask {
  var depth: Int
  var method: String
  var identifiers: SharedFlags
  /// Whether the innermost one goes on until it is killed.
  var stays: Bool

  func run() async throws -> [Int] {
    identifiers[depth] = getpid()
    guard depth > 0 else {
      while stays { try await Task.sleep(for: .seconds(1_000)) }
      return [Int(CurrentProcess.parentProcessIdentifier ?? 0)]
    }
    var inner = self
    inner.depth -= 1
    let options = ProcessOptions(startMethod: StartMethod(rawValue: method) ?? .fork)
    let parents = try await ChildProcess(inner, options: options).value
    return [Int(CurrentProcess.parentProcessIdentifier ?? 0)] + parents
  }
}

@Suite("Nested children", .serialized, .timeLimit(.minutes(2)))
struct NestedChildrenTests {
  private static let depth = 5

  @Test(
    "a child of a child, five deep, returns its result through all of them", arguments: startMethods
  )
  func result(_ method: StartMethod) async throws {
    let identifiers = try SharedFlags(count: Self.depth)
    let task = Nest(
      depth: Self.depth - 1, method: method.rawValue, identifiers: identifiers, stays: false)
    let parents = try await ChildProcess(task, options: ProcessOptions(method)).value
    // From the outermost on: the parent of each is the one before.
    let chain = [Int(getpid())] + (1..<Self.depth).reversed().map { Int(identifiers[$0]) }
    #expect(parents == chain)
    #expect(Set(parents).count == Self.depth)
  }

  @Test(
    "when one in the middle is killed, everything below it dies, and nothing above",
    arguments: startMethods)
  func killed(_ method: StartMethod) async throws {
    let identifiers = try SharedFlags(count: Self.depth)
    let task = Nest(
      depth: Self.depth - 1, method: method.rawValue, identifiers: identifiers, stays: true)
    let child = try ChildProcess(task, options: ProcessOptions(method))
    try await until { identifiers[0] != 0 }
    let all = (0..<Self.depth).map { identifiers[$0] }
    #expect(all.allSatisfy(isAlive))
    let middle = Self.depth / 2
    Glibc.kill(all[middle], SIGKILL)
    try await until { !all[...middle].contains(where: isAlive) }
    // The one above gets a crash for its child's value, and ends with that error.
    let error = await #expect(throws: ProcessError.self) { try await child.value }
    guard case .failed(let remote)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(remote.message.contains("SIGKILL"))
    #expect(await child.exitStatus == .exited(0))
  }

  @Test("a start method can change from level to level")
  func mixed() async throws {
    let value = try await ChildProcess(1, options: ProcessOptions(.spawn)) {
      (n: Int) async throws -> Int in
      try await ChildProcess(n + 1, options: ProcessOptions(startMethod: .forkServer)) {
        (n: Int) async throws -> Int in
        let captured = n * 10
        return try await ChildProcess.forking { captured + 1 }.value
      }.value
    }.value
    #expect(value == 21)
  }
}
