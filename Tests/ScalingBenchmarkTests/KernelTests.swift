import Multiprocessing
import Synchronization
import Testing

@testable import ScalingBenchmark

@Suite struct GaussianPairsTests {
  /// EP as its definition reads: one number after the other, products reduced in full width.
  private func naiveSums(pairCount: Int) -> GaussianSums {
    var state: UInt64 = 271_828_183
    func next() -> Double {
      let product = state.multipliedFullWidth(by: 1_220_703_125)
      state = (1 << 46 as UInt64).dividingFullWidth((product.high, product.low)).remainder
      return Double(state) / Double(1 << 46)
    }
    var sums = GaussianSums()
    for _ in 0..<pairCount {
      let (u, v) = (2 * next() - 1, 2 * next() - 1)
      let square = u * u + v * v
      if square > 1 { continue }
      let factor = (-2 * naturalLogarithm(square) / square).squareRoot()
      sums.x += u * factor
      sums.y += v * factor
      sums.counts[Int(max(abs(u * factor), abs(v * factor)))] += 1
    }
    return sums
  }

  @Test("a block gives the sums that the definition gives, to the last bit")
  func block() {
    let expected = naiveSums(pairCount: 1 << 16)
    #expect(GaussianBlock(first: 0, count: 1 << 16).execute() == expected)
    #expect(expected.counts.reduce(0, +) > 51_000)
  }

  @Test("blocks of any size and start add up to the whole")
  func oddBlocks() {
    let whole = naiveSums(pairCount: 5000)
    let parts = [(0, 1), (1, 1023), (1024, 2), (1026, 2049), (3075, 1925)].map {
      GaussianBlock(first: $0.0, count: $0.1).execute()
    }
    let total = GaussianSums(adding: parts)
    #expect(total.counts == whole.counts)
    #expect(abs(total.x - whole.x) < 1e-10)
    #expect(abs(total.y - whole.y) < 1e-10)
  }

  @Test("the blocks of a class cover every pair once", arguments: ProblemClass.allCases)
  func cover(problemClass: ProblemClass) {
    let kernel = GaussianPairs(problemClass)
    var next = 0
    for block in kernel.blocks {
      #expect(block.first == next)
      next += block.count
    }
    #expect(next == kernel.pairCount)
  }

  @Test("the reference counts of a class make a plausible share of the unit circle")
  func counts() {
    for problemClass in ProblemClass.allCases {
      let kernel = GaussianPairs(problemClass)
      let share = Double(kernel.reference.counts.reduce(0, +)) / Double(kernel.pairCount)
      #expect(abs(share - .pi / 4) < 1e-4)
    }
  }

  @Test("a wrong sum, a NaN and a wrong count are each named")
  func mismatches() {
    let reference = GaussianPairs.Reference(x: 100, y: -200, counts: [5, 7])
    var sums = GaussianSums()
    (sums.x, sums.y) = (100, -200)
    sums.counts[0...1] = [5, 7]
    #expect(reference.mismatch(with: sums) == nil)
    sums.x = 100.000_01
    #expect(reference.mismatch(with: sums)?.quantity == "sx")
    (sums.x, sums.y) = (100.000_000_1, .nan)
    #expect(reference.mismatch(with: sums)?.quantity == "sy")
    sums.y = -200
    sums.counts[9] = 1
    #expect(reference.mismatch(with: sums) == Mismatch("count 9", expected: 0, found: 1))
  }

  #if !DEBUG
    @Test("class S gives the published values")
    func classS() async throws {
      let runner = try await SerialRunner(cpus: [])
      let trial = try await GaussianPairs(.s).trial(on: runner)
      await runner.finish()
      #expect(trial.mismatch == nil)
      #expect(trial.seconds > 0)
    }
  #endif
}

@Suite struct MandelbrotTests {
  @Test("a row counts the steps that complex arithmetic counts")
  func row() {
    let (side, limit) = (32, 60)
    var total = 0
    for row in 0..<side {
      var expected = 0
      for column in 0..<side {
        let c = (
          re: -2 + 2.5 * (Double(column) + 0.5) / Double(side),
          im: -1.25 + 2.5 * (Double(row) + 0.5) / Double(side)
        )
        var (re, im, steps) = (0.0, 0.0, 0)
        while steps < limit, (re * re + im * im).squareRoot() <= 2 {
          (re, im) = (re * re - im * im + c.re, re * im + im * re + c.im)
          steps += 1
        }
        expected += steps
      }
      #expect(MandelbrotRow(row: row, side: side, stepLimit: limit).execute() == expected)
      total += expected
    }
    #expect(total > side * side)
  }

  @Test("class S gives the known sum of steps")
  func classS() async throws {
    let runner = try await SerialRunner(cpus: [])
    let trial = try await Mandelbrot(.s).trial(on: runner)
    await runner.finish()
    #expect(trial.mismatch == nil)
  }

  @Test("a wrong sum is named")
  func mismatch() async throws {
    let runner = try await SerialRunner(cpus: [])
    let right = try await Mandelbrot(side: 1, stepLimit: 9, expectedSteps: 9).trial(on: runner)
    let wrong = try await Mandelbrot(side: 1, stepLimit: 9, expectedSteps: 8).trial(on: runner)
    await runner.finish()
    #expect(right.mismatch == nil)
    #expect(wrong.mismatch == Mismatch("sum of steps", expected: 8, found: 9))
  }
}

@Suite struct TriadTests {
  @Test("the recurrence of single numbers is that of the passes")
  func recurrence() {
    #expect(Triad.expectedValues(after: 0) == [1, 2, 0])
    #expect(Triad.expectedValues(after: 3) == [2, 6, 20])
    #expect(Triad.expectedValues(after: 4) == [66, 6, 20])
  }

  @Test("parts that do not divide the arrays evenly cover every element", arguments: [1, 3, 7])
  func parts(workers: Int) async throws {
    let runner = try await ThreadRunner(cpuSets: Array(repeating: [], count: workers))
    let trial = try await Triad(elementCount: 1000, passCount: 5).trial(on: runner)
    await runner.finish()
    #expect(trial.mismatch == nil)
  }

  @Test("one wrong element is found and named", arguments: [0.5, -.infinity, .nan])
  func wrongElement(error: Double) throws {
    let kernel = Triad(elementCount: 100, passCount: 1)
    let arrays = try TriadArrays(count: 100)
    TriadFill(arrays: arrays).execute(part: 0, of: 1)
    TriadPasses(key: arrays.key, count: 1).execute(part: 0, of: 1)
    TriadArrays.inUse.withLock { $0[arrays.key] = nil }
    #expect(kernel.mismatch(in: arrays) == nil)
    arrays.all[1][42] += error
    #expect(kernel.mismatch(in: arrays)?.quantity == "b[42]")
  }

  @Test("traffic counts two arrays read and one written in each pass")
  func traffic() {
    #expect(Triad(elementCount: 1000, passCount: 5).trafficByteCount == 120_000)
    #expect(Triad(.w).memoryByteCount == 3 << 26)
  }
}
