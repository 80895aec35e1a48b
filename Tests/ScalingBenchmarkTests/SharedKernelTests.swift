import Multiprocessing
import Testing

@testable import ScalingBenchmark

/// Kernels whose workers read what others have written.
@Suite struct StencilTests {
  @Test("a round adds what the definition adds, whatever the strips")
  func definition() throws {
    let side = 13
    let grids = try StencilGrids(side: side)
    func run(_ step: StencilStrip.Step, _ rows: [Range<Int>]) {
      for rows in rows { _ = StencilStrip(grids: grids, rows: rows, step: step).execute() }
    }
    run(.fill, [0..<4, 4..<13])
    #expect(grids.input[5 * side + 7] == 12)
    // Not a plane, of which every stencil of this kind gives the same.
    for index in grids.input.indices { grids.input[index] = Double(index * index % 23) }
    run(.apply, [0..<1, 1..<6, 6..<7, 7..<12, 12..<13])
    for row in 0..<side {
      for column in 0..<side {
        var expected = 0.0
        if (2..<side - 2).contains(row), (2..<side - 2).contains(column) {
          for distance in 1...2 {
            let weight = 1 / Double(2 * distance * 2)
            func value(_ row: Int, _ column: Int) -> Double { grids.input[row * side + column] }
            expected += weight * (value(row, column + distance) - value(row, column - distance))
            expected += weight * (value(row + distance, column) - value(row - distance, column))
          }
        }
        #expect(abs(grids.output[row * side + column] - expected) < 1e-12)
      }
    }
    let before = Array(grids.input)
    run(.increment, [0..<13])
    #expect(Array(grids.input) == before.map { $0 + 1 })
  }

  @Test("the norm is right for every number of workers", arguments: [1, 3])
  func norm(workers: Int) async throws {
    let runner = try await ThreadRunner(cpuSets: Array(repeating: [], count: workers))
    let trial = try await Stencil(side: 61, roundCount: 5).trial(on: runner)
    await runner.finish()
    #expect(trial.mismatch == nil)
  }

  @Test("a norm that is off is named")
  func mismatch() throws {
    let kernel = Stencil(side: 20, roundCount: 0)
    let grids = try StencilGrids(side: 20)
    for step in [StencilStrip.Step.fill, .apply] {
      _ = StencilStrip(grids: grids, rows: 0..<20, step: step).execute()
    }
    #expect(kernel.mismatch(in: grids) == nil)
    grids.output[10 * 20 + 10] += 0.01
    #expect(kernel.mismatch(in: grids)?.quantity == "L1 norm")
  }
}

@Suite struct RandomAccessTests {
  @Test("the sequence can be entered anywhere")
  func sequence() {
    var number: UInt64 = 1
    for position in 0..<2_000 {
      #expect(ShiftRegister.number(position) == number)
      number = ShiftRegister.next(number)
    }
    // From the far end of a table of class B.
    let far = 1 << 30
    #expect(ShiftRegister.next(ShiftRegister.number(far - 1)) == ShiftRegister.number(far))
  }

  @Test("one worker loses no update, and the replay undoes them all")
  func replay() async throws {
    let table = try SharedArray<UInt64>(count: 1 << 10)
    func run(_ step: RandomAccessBlock.Step, _ range: Range<Int>) {
      _ = RandomAccessBlock(table: table, step: step, range: range).execute()
    }
    run(.fill, 0..<1_024)
    for range in [0..<1_000, 1_000..<4_096] { run(.update, range) }
    #expect(RandomAccess(logarithm: 10).mismatch(in: table)?.quantity == "wrong places")
    run(.update, 0..<4_096)
    #expect(Array(table) == (0..<1_024).map { UInt64($0) })
  }

  @Test("a trial is verified", arguments: [1, 2])
  func trial(workers: Int) async throws {
    let runner = try await ThreadRunner(cpuSets: Array(repeating: [], count: workers))
    let trial = try await RandomAccess(logarithm: 16).trial(on: runner)
    await runner.finish()
    #expect(trial.mismatch == nil)
  }
}

@Suite struct IntegerSortTests {
  @Test("class S has the published ranks, and they sort the keys", arguments: [1, 3])
  func classS(workers: Int) async throws {
    let runner = try await ThreadRunner(cpuSets: Array(repeating: [], count: workers))
    let trial = try await IntegerSort(.s).trial(on: runner)
    await runner.finish()
    #expect(trial.mismatch == nil)
  }

  @Test("a rank that is not the published one is named")
  func wrongRank() async throws {
    var kernel = IntegerSort(.s)
    kernel.reference.ranks[3] += 1
    let runner = try await SerialRunner(cpus: [])
    let trial = try await kernel.trial(on: runner)
    await runner.finish()
    #expect(trial.mismatch?.quantity == "rank 3 in round 1")
  }
}
