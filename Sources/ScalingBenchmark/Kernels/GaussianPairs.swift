// NAS EP, "embarrassingly parallel": Gaussian deviates by Marsaglia's polar method from the
// generator x' = 5^13 x mod 2^46, cut into blocks that any worker can start at. A block's result
// depends on the block alone, and the sums are added in block order, so the totals are the same to
// the last bit whoever computed what.

internal import Multiprocessing

/// The EP kernel: 2^m pairs of uniform numbers and what they must add up to.
struct GaussianPairs: Workload {
  var pairCount: Int
  var reference: Reference

  /// Pairs in a task. As in NPB, whose published sums are those of blocks of 2^16.
  static let blockPairCount = 1 << 16

  let kernel = KernelName.ep
  let trafficByteCount: Double? = nil

  func trial(on runner: some TrialRunner) async throws -> Trial {
    let blocks = self.blocks
    _ = try await runner.map(sample(of: blocks, workerCount: runner.workerCount))
    let (seconds, sums) = try await timed { try await runner.map(blocks) }
    return Trial(seconds: seconds, mismatch: reference.mismatch(with: GaussianSums(adding: sums)))
  }

  var blocks: [GaussianBlock] {
    stride(from: 0, to: pairCount, by: Self.blockPairCount).map { first in
      GaussianBlock(first: first, count: min(Self.blockPairCount, pairCount - first))
    }
  }
}

/// A range of pairs.
struct GaussianBlock: KernelTask {
  var first: Int
  var count: Int

  func execute() -> GaussianSums {
    GaussianLoop.sums(of: self)
  }

  static func map(
    _ tasks: [GaussianBlock], on pool: ProcessPool
  ) async throws -> [GaussianSums] {
    try await pool.map(tasks) { $0.execute() }
  }
}

/// What EP computes: the sums of the deviates, and how many fell into each square annulus
/// l <= max(|X|, |Y|) < l + 1.
struct GaussianSums: Codable, Sendable, Hashable {
  var x = 0.0
  var y = 0.0
  var counts = [Int](repeating: 0, count: GaussianSums.annulusCount)

  static let annulusCount = 10

  init() {}

  /// The totals of blocks, added in their order.
  init(adding blocks: [GaussianSums]) {
    for block in blocks {
      x += block.x
      y += block.y
      for annulus in counts.indices {
        counts[annulus] += block.counts[annulus]
      }
    }
  }
}
