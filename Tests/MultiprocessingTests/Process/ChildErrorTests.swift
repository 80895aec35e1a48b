// How a body's failure arrives: its own error, its text, or how its process ended.

import Glibc
import Multiprocessing
import Testing

private struct CodableError: Error, Codable, Equatable {
  var code: Int
  var path: [String]
}

private enum PlainError: Error {
  case broken(Int)
}

private struct Unencodable: Codable, Sendable {
  // Without a reference inside it would travel as its bytes, and not be asked.
  var text = "a text that needs its own memory"

  init() {}
  init(from decoder: any Decoder) throws {}
  func encode(to encoder: any Encoder) throws {
    throw EncodingError.invalidValue(
      self, EncodingError.Context(codingPath: [], debugDescription: "made to fail"))
  }
}

@Suite("Errors of a child process", .serialized, .timeLimit(.minutes(2)))
struct ChildErrorTests {
  @Test("an error that is Codable arrives as itself", arguments: startMethods)
  func codableError(_ method: StartMethod) async throws {
    let child = try ChildProcess(3, options: ProcessOptions(method)) { (n: Int) -> Int in
      throw CodableError(code: n, path: ["a", "b"])
    }
    await #expect(throws: CodableError(code: 3, path: ["a", "b"])) { try await child.value }
    #expect(await child.exitStatus == .exited(0))
  }

  @Test(
    "an error that is not Codable arrives as its type's name and its text", arguments: startMethods)
  func plainError(_ method: StartMethod) async throws {
    let child = try ChildProcess(3, options: ProcessOptions(method)) {
      (n: Int) async throws -> Int in
      await Task.yield()
      throw PlainError.broken(n)
    }
    let error = await #expect(throws: ProcessError.self) { try await child.value }
    guard case .failed(let remote)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(remote.typeName == "MultiprocessingTests.PlainError")
    #expect(remote.message == "broken(3)")
  }

  @Test("a cancellation error arrives as one", arguments: startMethods)
  func cancellationError(_ method: StartMethod) async throws {
    let child = try ChildProcess(options: ProcessOptions(method)) { () -> Int in
      throw CancellationError()
    }
    await #expect(throws: CancellationError.self) { try await child.value }
  }

  @Test("a result that cannot be encoded fails with its type's name", arguments: startMethods)
  func unencodableResult(_ method: StartMethod) async throws {
    let child = try ChildProcess(options: ProcessOptions(method)) { Unencodable() }
    let failure = try transferFailure(
      of: await #expect(throws: ProcessError.self) { _ = try await child.value })
    #expect(failure.typeName.contains("Unencodable"))
    #expect(failure.reason.contains("made to fail"))
  }

  @Test("a crash tells how the process ended", arguments: startMethods, Crash.allCases)
  func crashes(_ method: StartMethod, _ crash: Crash) async throws {
    let child = try ChildProcess(
      crash, options: ProcessOptions(method) { $0.standardError = .discard }
    ) { (crash: Crash) -> Int in crash.perform() }
    let error = await #expect(throws: ProcessError.self) { try await child.value }
    let report = try crashReport(of: error)
    #expect(crash.matches(report.exitStatus), "\(report)")
    #expect(report.processIdentifier == child.processIdentifier)
    #expect(report.workerIndex == nil)
    #expect(error?.description.contains(crash.mark) == true, "\(report)")
    #expect(crash.matches(await child.exitStatus))
  }
}
