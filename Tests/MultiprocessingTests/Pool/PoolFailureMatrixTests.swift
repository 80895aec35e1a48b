// Every stage of a task, every way in which it may fail there, every start method: a typed error, a pool that
// works on, a ledger that adds up. In a chunk exactly the item that failed is lost.

import Glibc
import Multiprocessing
import Testing

/// A stage of a task. The first and the last are in the application, where only an error can be survived.
enum Stage: String, Codable, Sendable, CaseIterable {
  case encodeArgument, decodeArgument, run, encodeResult, decodeResult

  var isInWorker: Bool { self != .encodeArgument && self != .decodeResult }
}

/// What goes wrong there.
enum Mishap: String, Codable, Sendable, CaseIterable {
  case throwing, trapping, exiting, killed, stopping

  struct Thrown: Error, Codable, Equatable {}

  func happen() throws {
    switch self {
    case .throwing: throw Thrown()
    case .trapping: Crash.nilUnwrapped.perform()
    case .exiting: Crash.exitThree.perform()
    case .killed: Crash.killed.perform()
    case .stopping: kill(getpid(), SIGSTOP)
    }
  }
}

/// A value that travels to a worker and back, and fails on its way.
struct Cargo: Codable, Sendable {
  var number: Int
  /// nil: all goes well.
  var stage: Stage?
  var mishap = Mishap.throwing
  /// So that it is not sent as plain bytes.
  var text = "cargo"

  private enum CodingKeys: CodingKey { case number, stage, mishap, text }

  init(_ number: Int, _ stage: Stage? = nil, _ mishap: Mishap = .throwing) {
    self.number = number
    self.stage = stage
    self.mishap = mishap
  }

  func encode(to encoder: any Encoder) throws {
    if stage == (CurrentProcess.isWorker ? .encodeResult : .encodeArgument) { try mishap.happen() }
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(number, forKey: .number)
    try container.encode(stage, forKey: .stage)
    try container.encode(mishap, forKey: .mishap)
    try container.encode(text, forKey: .text)
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    number = try container.decode(Int.self, forKey: .number)
    stage = try container.decode(Stage?.self, forKey: .stage)
    mishap = try container.decode(Mishap.self, forKey: .mishap)
    text = try container.decode(String.self, forKey: .text)
    if stage == (CurrentProcess.isWorker ? .decodeArgument : .decodeResult) { try mishap.happen() }
  }

  static let carry: @Sendable (Cargo) throws -> Cargo = { cargo in
    if cargo.stage == .run { try cargo.mishap.happen() }
    return cargo
  }
}

/// One cell of the matrix.
struct MatrixCell: Sendable, CustomTestStringConvertible {
  var stage: Stage
  var mishap: Mishap
  var method: StartMethod

  var testDescription: String { "\(mishap) in \(stage), \(method)" }

  static let all = Stage.allCases.flatMap { stage in
    Mishap.allCases.filter { stage.isInWorker || $0 == .throwing }.flatMap { mishap in
      startMethods.map { MatrixCell(stage: stage, mishap: mishap, method: $0) }
    }
  }

  /// Whether the error tells what happened.
  func matches(_ error: any Error) -> Bool {
    switch (mishap, error) {
    case (.throwing, is Mishap.Thrown): stage == .run
    case (.throwing, ProcessError.notTransferable(let failure)):
      stage != .run && "\(failure)".contains("Cargo")
    case (.trapping, ProcessError.crashed(let report)):
      Crash.nilUnwrapped.matches(report.exitStatus)
    case (.exiting, ProcessError.crashed(let report)): report.exitStatus == .exited(3)
    case (.killed, ProcessError.crashed(let report)): Crash.killed.matches(report.exitStatus)
    case (.stopping, ProcessError.timedOut): true
    default: false
    }
  }
}

@Suite("Every failure at every stage", .serialized, .timeLimit(.minutes(3)))
struct PoolFailureMatrixTests {
  private func withMatrixPool(
    _ failure: MatrixCell, chunk: Int, body: (ProcessPool) async throws -> Void
  ) async throws {
    try await withPool(
      failure.method,
      {
        $0.chunkSize = .fixed(chunk)
        $0.cancellationGrace = .milliseconds(20)
        if failure.mishap == .stopping { $0.taskTimeout = .milliseconds(500) }
      }, body: body)
  }

  @Test("a single task", arguments: MatrixCell.all)
  func single(_ failure: MatrixCell) async throws {
    try await withMatrixPool(failure, chunk: 1) { pool async throws in
      let cargo = Cargo(1, failure.stage, failure.mishap)
      await #expect { try await pool.run(cargo, body: Cargo.carry) } throws: { failure.matches($0) }
      #expect(try await pool.run(Cargo(2), body: Cargo.carry).number == 2)
      #expect(try await pool.map(0..<50) { $0 + 1 } == Array(1...50))
      #expect(pool.statistics.addsUp && pool.statistics.pending == 0)
    }
  }

  @Test("a map fails with it, and the pool works on", arguments: MatrixCell.all)
  func map(_ failure: MatrixCell) async throws {
    try await withMatrixPool(failure, chunk: 8) { pool async throws in
      let inputs = (0..<40).map { $0 == 21 ? Cargo(21, failure.stage, failure.mishap) : Cargo($0) }
      await #expect { try await pool.map(inputs, body: Cargo.carry) } throws: {
        failure.matches($0)
      }
      #expect(pool.statistics.addsUp && pool.statistics.pending == 0)
      #expect(try await pool.map((0..<9).map { Cargo($0) }, body: Cargo.carry).count == 9)
    }
  }

  @Test("in a chunk exactly the item that failed is lost", arguments: MatrixCell.all)
  func chunk(_ failure: MatrixCell) async throws {
    try await withMatrixPool(failure, chunk: 8) { pool async throws in
      let inputs = (0..<40).map { $0 == 21 ? Cargo(21, failure.stage, failure.mishap) : Cargo($0) }
      var seen: Set<Int> = []
      for await (index, result) in pool.outcomes(of: inputs, body: Cargo.carry) {
        #expect(seen.insert(index).inserted)
        switch result {
        case .success(let cargo): #expect(cargo.number == index && index != 21)
        case .failure(let error): #expect(index == 21 && failure.matches(error), "\(error)")
        }
      }
      #expect(seen.count == 40)
      #expect(pool.statistics.addsUp && pool.statistics.pending == 0)
    }
  }
}
