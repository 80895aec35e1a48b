// What travels to a child process and back: arguments, results and bodies of every shape.

import Multiprocessing
import Testing

private func square(_ n: Int) -> Int { n * n }
private func sum(_ a: Int, _ b: Double, _ c: String) -> String { "\(a) \(b) \(c)" }
@concurrent private func squareLater(_ n: Int) async throws -> Int {
  await Task.yield()
  return n * n
}

private struct Secret: Codable, Sendable, Equatable {
  var number: Int
  var text: String
}

private enum Choice: Codable, Sendable, Equatable {
  case none
  case number(Int)
  case pair(Secret, [Secret])
}

struct Wrapped<Value: Codable & Sendable>: Codable, Sendable {
  struct Inner: Codable, Sendable, Equatable { var count: Int }
  var value: Value
  var inner: Inner
}

private struct Power: ProcessTask {
  var base: Int
  var exponent: Int
  func run() async throws -> Int {
    await Task.yield()
    return (0..<exponent).reduce(1) { result, _ in result * base }
  }
}

@Suite("Values of a child process", .serialized, .timeLimit(.minutes(2)))
struct ChildValueTests {
  @Test("a closure gets its argument and returns its result", arguments: startMethods)
  func oneArgument(_ method: StartMethod) async throws {
    let child = try ChildProcess(21, options: ProcessOptions(method)) { $0 * 2 }
    #expect(try await child.value == 42)
    #expect(await child.exitStatus == .exited(0))
  }

  @Test("the value can be read again and by several tasks", arguments: startMethods)
  func valueAgain(_ method: StartMethod) async throws {
    let child = try ChildProcess("once", options: ProcessOptions(method)) { $0 + "!" }
    async let first = child.value
    async let second = child.value
    #expect(try await [first, second] == ["once!", "once!"])
    #expect(try await child.value == "once!")
  }

  @Test("a body can have no argument", arguments: startMethods)
  func noArgument(_ method: StartMethod) async throws {
    let child = try ChildProcess(options: ProcessOptions(method)) { "from nothing" }
    #expect(try await child.value == "from nothing")
  }

  @Test("arguments of different types arrive in order", arguments: startMethods)
  func packOfArguments(_ method: StartMethod) async throws {
    let child = try ChildProcess(
      1, "two", [3.0], ["four": 4], true, options: ProcessOptions(method)
    ) { a, b, c, d, e in "\(a) \(b) \(c) \(d) \(e)" }
    #expect(try await child.value == #"1 two [3.0] ["four": 4] true"#)
  }

  @Test("a tuple returns with all its elements", arguments: startMethods)
  func tuples(_ method: StartMethod) async throws {
    let two = try await ChildProcess(7, options: ProcessOptions(method)) { ($0, "seven") }.value
    #expect(two == (7, "seven"))
    let four = try await ChildProcess(7, options: ProcessOptions(method)) {
      (n: Int) async throws -> (Int, String, [Double], Bool) in
      await Task.yield()
      return (n, "\(n)", [Double(n)], n > 0)
    }.value
    #expect(four == (7, "7", [7.0], true))
  }

  @Test("a body without a result runs to its end", arguments: startMethods)
  func void(_ method: StartMethod) async throws {
    let flags = try SharedFlags(count: 2)
    let child = try ChildProcess(flags, options: ProcessOptions(method)) { flags -> Void in
      flags[0] = 1
    }
    try await child.value
    let later = try ChildProcess(flags, options: ProcessOptions(method)) {
      (flags: SharedFlags) async throws -> Void in
      await Task.yield()
      flags[1] = 2
    }
    try await later.value
    #expect(Array(flags) == [1, 2])
  }

  @Test("a function can be the body", arguments: startMethods)
  func functions(_ method: StartMethod) async throws {
    let options = ProcessOptions(method)
    #expect(try await ChildProcess(12, options: options, body: square).value == 144)
    #expect(try await ChildProcess(1, 2.5, "x", options: options, body: sum).value == "1 2.5 x")
    #expect(try await ChildProcess<Int>(12, options: options, body: squareLater).value == 144)
  }

  @Test(
    "a key path as the body gives its value, or is refused as a capture (debug builds)",
    arguments: startMethods)
  func keyPath(_ method: StartMethod) async throws {
    do {
      let child = try ChildProcess<Int>("abc", options: ProcessOptions(method), body: \String.count)
      #expect(try await child.value == 3)
    } catch ProcessError.notTransferable(let failure) {
      #expect(failure.reason.contains("captures"))
    }
  }

  @Test("a task carries its stored properties", arguments: startMethods)
  func processTask(_ method: StartMethod) async throws {
    let child = try ChildProcess(Power(base: 3, exponent: 5), options: ProcessOptions(method))
    #expect(try await child.value == 243)
  }

  @Test("private, local, nested and generic types travel", arguments: startMethods)
  func types(_ method: StartMethod) async throws {
    struct Local: Codable, Sendable, Equatable { var value: Int? }
    let options = ProcessOptions(method)
    let secret = Secret(number: 1, text: "a")
    let secrets = try await ChildProcess([secret], options: options) { $0 + $0 }.value
    #expect(secrets == [secret, secret])
    let choice = try await ChildProcess(secret, options: options) { Choice.pair($0, [$0]) }.value
    #expect(choice == .pair(secret, [secret]))
    let local = try await ChildProcess(Local(value: 4), options: options) {
      Local(value: $0.value.map { $0 + 1 })
    }.value
    #expect(local == Local(value: 5))
    let optional = try await ChildProcess(["k": secret], options: options) { $0["absent"] }.value
    #expect(optional == nil)
    let inner = try await ChildProcess(
      Wrapped(value: "x", inner: Wrapped.Inner(count: 2)), options: options
    ) { $0.inner }.value
    #expect(inner == Wrapped<String>.Inner(count: 2))
  }

  @Test("20 MB go there and back", arguments: startMethods)
  func large(_ method: StartMethod) async throws {
    // A period that no power of two hides.
    let numbers = Array(repeatElement(Array(0..<999), count: 2_503).joined())
    let child = try ChildProcess(numbers, options: ProcessOptions(method)) { $0 + [-1] }
    #expect(try await child.value == numbers + [-1])
    let texts = (0..<50_000).map { "a text of some forty bytes, number \($0)" }
    let sorted = try ChildProcess(texts, options: ProcessOptions(method)) { $0 + ["end"] }
    #expect(try await sorted.value == texts + ["end"])
  }
}
