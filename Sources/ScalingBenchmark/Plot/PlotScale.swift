// From values to pixels, and which values get a tick.

/// A linear scale.
struct PlotScale {
  var values: ClosedRange<Double>
  /// Where the ends of `values` lie; the second may be the smaller, as on a vertical axis.
  var start: Double
  var end: Double

  func position(_ value: Double) -> Double {
    let span = values.upperBound - values.lowerBound
    return start + (value - values.lowerBound) / span * (end - start)
  }

  /// Multiples of 1, 2 or 5 times a power of ten within the values, about `count` of them.
  func ticks(about count: Int) -> [Double] {
    let rough = (values.upperBound - values.lowerBound) / Double(max(1, count))
    var power = 1.0
    while power > rough { power /= 10 }
    while power * 10 <= rough { power *= 10 }
    let step = [1.0, 2, 5, 10].map { $0 * power }.first { $0 >= rough } ?? 10 * power
    let first = Int((values.lowerBound / step).rounded(.up))
    let last = Int((values.upperBound / step).rounded(.down))
    return first <= last ? (first...last).map { Double($0) * step } : []
  }

  /// Numbers of workers that get a tick: all of a few, else one and the last and multiples of a
  /// power of two between them.
  static func workerTicks(_ counts: [Double]) -> [Double] {
    guard counts.count > 8, let last = counts.last else { return counts }
    var step = 1.0
    while last / step > 8 { step *= 2 }
    return Set(stride(from: step, through: last, by: step)).union([1, last]).sorted()
  }

  /// Those of `candidates` that are at least `distance` pixels apart, the last one among them.
  func spaced(_ candidates: [Double], by distance: Double) -> [Double] {
    var kept: [Double] = []
    for value in candidates.sorted().reversed() {
      let isFar = kept.last.map { abs(position($0) - position(value)) >= distance } ?? true
      if isFar { kept.append(value) }
    }
    return kept.reversed()
  }
}

/// Moves labels apart that would lie on each other.
enum LabelSpread {
  /// - Parameter wanted: Where the labels would like to be.
  /// - Returns: Where they go: in the same order, `distance` or more apart, within `bounds` where
  ///   there is room.
  static func positions(
    _ wanted: [Double], distance: Double, within bounds: ClosedRange<Double>
  ) -> [Double] {
    let order = wanted.indices.sorted { wanted[$0] < wanted[$1] }
    var result = wanted
    var limit = bounds.lowerBound
    for index in order {
      result[index] = max(wanted[index], limit)
      limit = result[index] + distance
    }
    limit = bounds.upperBound
    for index in order.reversed() {
      result[index] = min(result[index], limit)
      limit = result[index] - distance
    }
    return result
  }
}
