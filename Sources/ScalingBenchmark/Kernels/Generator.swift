// The random numbers of the NAS Parallel Benchmarks: x' = a x mod 2^46. Products wrap at 2^64, of
// which the low 46 bits are exact, so a mask is all the reduction that is needed.

enum Generator {
  static let multiplier: UInt64 = 1_220_703_125  // 5^13
  static let seed: UInt64 = 271_828_183
  static let mask: UInt64 = (1 << 46) - 1
  /// Turns a state into a number in (0, 1).
  static let scale = 0x1p-46

  /// `base` to the power `exponent`, mod 2^46.
  static func power(_ base: UInt64, _ exponent: Int) -> UInt64 {
    var result: UInt64 = 1
    var square = base
    var rest = exponent
    while rest > 0 {
      if rest & 1 == 1 { result = result &* square & mask }
      square = square &* square & mask
      rest >>= 1
    }
    return result
  }

  /// The state after `count` steps from the seed.
  static func state(after count: Int, from seed: UInt64 = seed) -> UInt64 {
    seed &* power(multiplier, count) & mask
  }
}
