// The Mandelbrot set, one row of the picture a task. A row costs between some hundreds and a
// million steps, which nobody can tell beforehand: a fixed division of the rows would leave most
// workers waiting. Additions and multiplications alone, each rounded as IEEE 754 says, so the sum
// of all steps is the same number on every machine and can be checked exactly.

internal import Multiprocessing

/// The Mandelbrot kernel: a square picture of -2 ... 0.5 by -1.25i ... 1.25i.
struct Mandelbrot: Workload {
  var side: Int
  /// After how many steps a point counts as inside.
  var stepLimit: Int
  /// The steps of all pixels together.
  var expectedSteps: Int

  let kernel = KernelName.mandelbrot
  let trafficByteCount: Double? = nil

  func trial(on runner: some TrialRunner) async throws -> Trial {
    let rows = self.rows
    _ = try await runner.map(sample(of: rows, workerCount: runner.workerCount))
    let (seconds, steps) = try await timed { try await runner.map(rows) }
    let total = steps.reduce(0, +)
    return Trial(
      seconds: seconds,
      mismatch: total == expectedSteps
        ? nil : Mismatch("sum of steps", expected: expectedSteps, found: total))
  }

  /// The sums of steps come from a program in C (-ffp-contract=off) that computes the same picture,
  /// and from one serial run of this kernel.
  init(_ problemClass: ProblemClass) {
    switch problemClass {
    case .s: self.init(side: 256, stepLimit: 1000, expectedSteps: 16_216_664)
    case .w: self.init(side: 512, stepLimit: 1000, expectedSteps: 64_917_922)
    case .a: self.init(side: 1024, stepLimit: 2500, expectedSteps: 639_330_922)
    case .b: self.init(side: 2048, stepLimit: 2500, expectedSteps: 2_557_396_448)
    case .c: self.init(side: 4096, stepLimit: 2500, expectedSteps: 10_229_447_308)
    }
  }

  init(side: Int, stepLimit: Int, expectedSteps: Int) {
    self.side = side
    self.stepLimit = stepLimit
    self.expectedSteps = expectedSteps
  }

  var rows: [MandelbrotRow] {
    (0..<side).map { MandelbrotRow(row: $0, side: side, stepLimit: stepLimit) }
  }
}

/// One row of pixels.
struct MandelbrotRow: KernelTask {
  var row: Int
  var side: Int
  var stepLimit: Int

  /// The steps of the row's pixels together.
  func execute() -> Int {
    let pixel = 2.5 / Double(side)
    let imaginary = -1.25 + pixel * (Double(row) + 0.5)
    var sum = 0
    for column in 0..<side {
      sum &+= steps(fromReal: -2 + pixel * (Double(column) + 0.5), imaginary: imaginary)
    }
    return sum
  }

  /// How often z' = z^2 + c is applied, from z = 0, before |z| exceeds 2.
  @inline(__always)
  private func steps(fromReal real: Double, imaginary: Double) -> Int {
    var x = 0.0
    var y = 0.0
    var xx = 0.0
    var yy = 0.0
    var count = 0
    while count < stepLimit, xx + yy <= 4 {
      y = 2 * (x * y) + imaginary
      x = xx - yy + real
      xx = x * x
      yy = y * y
      count &+= 1
    }
    return count
  }

  static func map(_ tasks: [MandelbrotRow], on pool: ProcessPool) async throws -> [Int] {
    try await pool.map(tasks) { $0.execute() }
  }
}
