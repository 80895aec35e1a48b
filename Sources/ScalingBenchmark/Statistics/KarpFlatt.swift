// What a speed-up says about the part of the work that did not run in parallel.

/// The experimentally determined serial fraction, e = (1/S - 1/p) / (1 - 1/p).
///
/// Constant over p it means serial code, growing it means overhead; below zero means faster than p
/// times, as when the data of each part first fit into a cache. Karp and Flatt, "Measuring parallel
/// processor performance", CACM 33(5), 1990.
///
/// - Returns: nil for one worker, where the fraction is not defined, and for a speed-up that is not
///   positive.
public func karpFlattSerialFraction(speedup: Double, workers: Int) -> Double? {
  guard workers > 1, speedup > 0 else { return nil }
  let share = 1 / Double(workers)
  return (1 / speedup - share) / (1 - share)
}
