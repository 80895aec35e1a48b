// The middle and the spread of repeated measurements.

/// Order statistics of a sample.
public struct Summary: Sendable, Hashable {
  public var minimum: Double
  public var lowerQuartile: Double
  public var median: Double
  public var upperQuartile: Double
  public var maximum: Double

  /// nil for an empty sample. Quantiles between two values are interpolated linearly: type 7 of
  /// Hyndman and Fan, "Sample quantiles in statistical packages", 1996.
  public init?(_ sample: some Sequence<Double>) {
    let sorted = sample.sorted()
    guard let first = sorted.first, let last = sorted.last else { return nil }
    func quantile(_ fraction: Double) -> Double {
      let position = fraction * Double(sorted.count - 1)
      let below = Int(position)
      let above = min(below + 1, sorted.count - 1)
      return sorted[below] + (position - Double(below)) * (sorted[above] - sorted[below])
    }
    minimum = first
    lowerQuartile = quantile(0.25)
    median = quantile(0.5)
    upperQuartile = quantile(0.75)
    maximum = last
  }
}
