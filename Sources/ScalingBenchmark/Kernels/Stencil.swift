// The star-shaped stencil of the Parallel Research Kernels (Van der Wijngaart and Mattson 2014): a
// weighted sum of each point's neighbours within a radius of 2 is added to a second grid, and then
// one to every point of the first. Strips of rows are handed out anew for each of the two steps, so
// their edges are read by other workers than the one that wrote them, and every step waits for the
// one before it: what is measured is memory, and how soon a team meets.

internal import Multiprocessing

/// The stencil kernel: square grids of numbers of eight bytes.
struct Stencil: Workload {
  var side: Int
  var roundCount: Int

  let kernel = KernelName.stencil

  /// The first grid is read once and changed once, the second is changed once; neighbours are taken
  /// to be in a cache.
  var trafficByteCount: Double? {
    5 * Double(MemoryLayout<Double>.stride) * Double(side) * Double(side) * Double(roundCount)
  }

  init(_ problemClass: ProblemClass) {
    switch problemClass {
    case .s: self.init(side: 512, roundCount: 10)
    case .w: self.init(side: 2048, roundCount: 10)
    case .a: self.init(side: 4096, roundCount: 20)
    case .b: self.init(side: 8192, roundCount: 20)
    case .c: self.init(side: 16384, roundCount: 20)
    }
  }

  init(side: Int, roundCount: Int) {
    self.side = side
    self.roundCount = roundCount
  }

  func trial(on runner: some TrialRunner) async throws -> Trial {
    let grids = try StencilGrids(side: side)
    let strips = strips(of: grids, workerCount: runner.workerCount)
    func run(_ step: StencilStrip.Step) async throws {
      _ = try await runner.map(strips.map { StencilStrip($0, step) })
    }
    try await run(.fill)
    // As in the Parallel Research Kernels, a first round without the clock.
    try await run(.apply)
    try await run(.increment)
    let (seconds, _) = try await timed {
      for _ in 0..<roundCount {
        try await run(.apply)
        try await run(.increment)
      }
    }
    return Trial(seconds: seconds, mismatch: mismatch(in: grids))
  }

  private func strips(of grids: StencilGrids, workerCount: Int) -> [StencilStrip] {
    let height = max(1, side / (4 * workerCount))
    return stride(from: 0, to: side, by: height).map { first in
      StencilStrip(grids: grids, rows: first..<min(first + height, side), step: .fill)
    }
  }

  /// The mean of the absolute values (the L1 norm by the number of points) is known: the first grid
  /// is a plane that rises by 1 in both directions, each round adds its two slopes. nil: verified.
  func mismatch(in grids: StencilGrids) -> Mismatch? {
    let expected = Double(roundCount + 1) * 2
    let mean = StencilLoop.meanOfInterior(grids.output, side: side)
    return abs(mean - expected) <= 1e-8
      ? nil : Mismatch("L1 norm", expected: expected, found: mean)
  }
}

/// The two grids, the same memory in all processes.
struct StencilGrids: Codable, Sendable {
  var input: SharedArray<Double>
  var output: SharedArray<Double>
  var side: Int

  init(side: Int) throws {
    input = try SharedArray(count: side * side, huge: .ifAvailable)
    output = try SharedArray(count: side * side, huge: .ifAvailable)
    self.side = side
  }
}

/// Some rows, and what is to be done with them.
struct StencilStrip: KernelTask {
  enum Step: String, Codable, Sendable {
    case fill, apply, increment
  }

  var grids: StencilGrids
  var rows: Range<Int>
  var step: Step

  init(grids: StencilGrids, rows: Range<Int>, step: Step) {
    self.grids = grids
    self.rows = rows
    self.step = step
  }

  init(_ strip: StencilStrip, _ step: Step) {
    self = strip
    self.step = step
  }

  /// How many rows there were.
  func execute() -> Int {
    switch step {
    case .fill: StencilLoop.fill(grids, rows)
    case .apply: StencilLoop.apply(grids, rows)
    case .increment: StencilLoop.increment(grids, rows)
    }
    return rows.count
  }

  static func map(_ tasks: [StencilStrip], on pool: ProcessPool) async throws -> [Int] {
    try await pool.map(tasks) { $0.execute() }
  }
}
