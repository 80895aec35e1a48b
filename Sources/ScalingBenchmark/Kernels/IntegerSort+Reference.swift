// The ranks that NPB publishes for IS: of five keys in each class, and how they move from round to
// round, because each round changes two keys.

internal import Multiprocessing

extension IntegerSort {
  /// Where five keys are, and what their ranks must be.
  struct Reference: Sendable {
    var indices: [Int]
    var ranks: [Int]
    /// What a key's rank is more than published, in a round, by the key's number.
    var shift: @Sendable (_ key: Int, _ round: Int) -> Int

    /// nil: all five are right.
    func mismatch(in arrays: SortArrays, round: Int) -> Mismatch? {
      for number in indices.indices {
        let key = Int(arrays.keys[indices[number]])
        guard key > 0, key < arrays.keys.count else { continue }
        let found = Int(arrays.ranks[key - 1])
        let expected = ranks[number] + shift(number, round)
        if found != expected {
          return Mismatch("rank \(number) in round \(round)", expected: expected, found: found)
        }
      }
      return nil
    }
  }

  init(_ problemClass: ProblemClass) {
    switch problemClass {
    case .s:
      self.init(
        keyCount: 1 << 16, keyLimit: 1 << 11,
        reference: Reference(
          indices: [48_427, 17_148, 23_627, 62_548, 4_431], ranks: [0, 18, 346, 64_917, 65_463],
          shift: { key, round in key <= 2 ? round : -round }))
    case .w:
      self.init(
        keyCount: 1 << 20, keyLimit: 1 << 16,
        reference: Reference(
          indices: [357_773, 934_767, 875_723, 898_999, 404_505],
          ranks: [1_249, 11_698, 1_039_987, 1_043_896, 1_048_018],
          shift: { key, round in key < 2 ? round - 2 : -round }))
    case .a:
      self.init(
        keyCount: 1 << 23, keyLimit: 1 << 19,
        reference: Reference(
          indices: [2_112_377, 662_041, 5_336_171, 3_642_833, 4_250_760],
          ranks: [104, 17_523, 123_928, 8_288_932, 8_388_264],
          shift: { key, round in key <= 2 ? round - 1 : 1 - round }))
    case .b:
      self.init(
        keyCount: 1 << 25, keyLimit: 1 << 21,
        reference: Reference(
          indices: [41_869, 812_306, 5_102_857, 18_232_239, 26_860_214],
          ranks: [33_422_937, 10_244, 59_149, 33_135_281, 99],
          shift: { key, round in [1, 2, 4].contains(key) ? round : -round }))
    case .c:
      self.init(
        keyCount: 1 << 27, keyLimit: 1 << 23,
        reference: Reference(
          indices: [44_172_927, 72_999_161, 74_326_391, 129_606_274, 21_736_814],
          ranks: [61_147, 882_988, 266_290, 133_997_595, 133_525_895],
          shift: { key, round in key <= 2 ? round : -round }))
    }
  }
}
