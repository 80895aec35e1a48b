// The published values of NAS EP and the test against them.

extension GaussianPairs {
  /// The values that a class must give.
  struct Reference: Sendable, Hashable {
    var x: Double
    var y: Double
    /// Pairs in each annulus, from the innermost; the rest are empty.
    var counts: [Int]

    /// The relative error that NPB allows the sums.
    static let tolerance = 1e-8

    /// The first value of `sums` that is wrong; nil: verified.
    func mismatch(with sums: GaussianSums) -> Mismatch? {
      if !Self.agree(sums.x, x) { return Mismatch("sx", expected: x, found: sums.x) }
      if !Self.agree(sums.y, y) { return Mismatch("sy", expected: y, found: sums.y) }
      for annulus in sums.counts.indices {
        let expected = annulus < counts.count ? counts[annulus] : 0
        if sums.counts[annulus] != expected {
          return Mismatch("count \(annulus)", expected: expected, found: sums.counts[annulus])
        }
      }
      return nil
    }

    /// False for a NaN as well.
    private static func agree(_ found: Double, _ expected: Double) -> Bool {
      abs((found - expected) / expected) <= tolerance
    }
  }

  /// EP of a class. The numbers of pairs and the sums are those of NPB 3 (`ep`); the counts, which
  /// NPB prints but does not check, come from a program in C that computes the same sums.
  init(_ problemClass: ProblemClass) {
    switch problemClass {
    case .s:
      pairCount = 1 << 24
      reference = Reference(
        x: -3.247834652034740e+3, y: -6.958407078382297e+3,
        counts: [6_140_517, 5_865_300, 1_100_361, 68_546, 1_648, 17])
    case .w:
      pairCount = 1 << 25
      reference = Reference(
        x: -2.863319731645753e+3, y: -6.320053679109499e+3,
        counts: [12_281_576, 11_729_692, 2_202_726, 137_368, 3_371, 36])
    case .a:
      pairCount = 1 << 28
      reference = Reference(
        x: -4.295875165629892e+3, y: -1.580732573678431e+4,
        counts: [98_257_395, 93_827_014, 17_611_549, 1_110_028, 26_536, 245])
    case .b:
      pairCount = 1 << 30
      reference = Reference(
        x: 4.033815542441498e+4, y: -2.660669192809235e+4,
        counts: [393_058_470, 375_280_898, 70_460_742, 4_438_852, 105_691, 948, 5])
    case .c:
      pairCount = 1 << 32
      reference = Reference(
        x: 4.764367927995374e+4, y: -8.084072988043731e+4,
        counts: [1_572_172_634, 1_501_108_549, 281_805_648, 17_761_221, 424_017, 3_821, 13])
    }
  }
}
