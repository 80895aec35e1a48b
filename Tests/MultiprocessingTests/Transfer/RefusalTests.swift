// What cannot cross is refused in the application, before anything is sent, with a message that says what to
// change.

import Multiprocessing
import Testing

private final class Counter: Sendable {
  let step = 2
}

private struct Secret: Codable, Sendable {
  var number: Int
}

struct Generic<Value: Codable & Sendable>: Codable, Sendable {
  var value: Value
}

private func expectCaptureRefused(_ failure: TransferFailure) {
  #expect(failure.reason.contains("captures"))
  #expect(failure.cure.contains("argument"))
  #expect(failure.cure.contains("ProcessTask"))
  #expect("\(ProcessError.notTransferable(failure))".contains(failure.cure))
}

@Suite("Refusals", .serialized, .timeLimit(.minutes(2)))
struct RefusalTests {
  @Test("a closure that captures a number is refused", arguments: startMethods)
  func capturedNumber(_ method: StartMethod) throws {
    let step = Int.random(in: 1...9)
    let error = #expect(throws: ProcessError.self) {
      try ChildProcess(1, options: ProcessOptions(method)) { $0 + step }
    }
    expectCaptureRefused(try transferFailure(of: error))
  }

  @Test("a closure that captures an object is refused", arguments: startMethods)
  func capturedObject(_ method: StartMethod) throws {
    let counter = Counter()
    let error = #expect(throws: ProcessError.self) {
      try ChildProcess(1, options: ProcessOptions(method)) { $0 + counter.step }
    }
    expectCaptureRefused(try transferFailure(of: error))
  }

  @Test("a closure that captures a closure and a number is refused", arguments: startMethods)
  func capturedClosure(_ method: StartMethod) throws {
    let triple: @Sendable (Int) -> Int = { $0 * 3 }
    let step = Int.random(in: 1...9)
    let error = #expect(throws: ProcessError.self) {
      try ChildProcess(1, options: ProcessOptions(method)) { triple($0) + step }
    }
    expectCaptureRefused(try transferFailure(of: error))
  }

  @Test("an asynchronous closure that captures is refused", arguments: startMethods)
  func capturedAsynchronously(_ method: StartMethod) throws {
    let step = Int.random(in: 1...9)
    let error = #expect(throws: ProcessError.self) {
      try ChildProcess(1, options: ProcessOptions(method)) { (n: Int) async throws -> Int in
        await Task.yield()
        return n + step
      }
    }
    expectCaptureRefused(try transferFailure(of: error))
  }

  @Test("the refusal names the types of the body")
  func named() throws {
    let step = Int.random(in: 1...9)
    let error = #expect(throws: ProcessError.self) {
      try ChildProcess(1, "x") { "\($1)\($0 + step)" }
    }
    let name = try transferFailure(of: error).typeName
    #expect(name.contains("(Int, String) -> String"))
  }

  @Test(
    "every form of a pool refuses captures, and counts nothing as submitted",
    arguments: startMethods)
  func pool(_ method: StartMethod) async throws {
    let step = Int.random(in: 1...9)
    try await withPool(method) { pool in
      let errors: [ProcessError?] = [
        await #expect(throws: ProcessError.self) { try await pool.run(1) { $0 + step } },
        await #expect(throws: ProcessError.self) { try await pool.run(1) { ($0 + step, 1) } },
        await #expect(throws: ProcessError.self) { try await pool.map(0..<9) { $0 + step } },
        await #expect(throws: ProcessError.self) {
          try await pool.map(zip([1], [2])) { $0 + $1 + step }
        },
        await #expect(throws: ProcessError.self) {
          try await pool.map([1].enumerated()) { $0 + $1 + step }
        },
        await #expect(throws: ProcessError.self) {
          try await pool.forEach(0..<9) { print($0 + step) }
        },
        await #expect(throws: ProcessError.self) { try await pool.broadcast { step } },
      ]
      for error in errors { expectCaptureRefused(try transferFailure(of: error)) }
      #expect(pool.statistics.isUntouched)
      #expect(try await pool.run(1) { $0 + 1 } == 2)
    }
  }

  @Test("a type without a name is refused, and named", arguments: startMethods)
  func unnameable(_ method: StartMethod) throws {
    let error = #expect(throws: ProcessError.self) {
      try ChildProcess(Generic(value: Secret(number: 1)), options: ProcessOptions(method)) {
        $0.value.number
      }
    }
    let failure = try transferFailure(of: error)
    #expect(failure.typeName.contains("Generic<Secret>"))
    #expect(failure.cure.contains("internal or public"))
  }

  @Test("the start method .fork is refused where bodies travel by name")
  func fork() throws {
    let error = #expect(throws: ProcessError.self) {
      try ChildProcess(1, options: ProcessOptions(.fork)) { $0 + 1 }
    }
    #expect(try configurationProblem(of: error).contains("ChildProcess.forking"))
  }
}
