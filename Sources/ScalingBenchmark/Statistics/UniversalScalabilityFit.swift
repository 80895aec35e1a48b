// The Universal Scalability Law, fitted to measured capacities.

/// C(p) = p / (1 + sigma (p - 1) + kappa p (p - 1)), where C(p) is the throughput of p workers over
/// that of one: sigma is the price of contention, kappa that of keeping data coherent. Gunther, "A
/// General Theory of Computational Scalability", arXiv:0808.1431.
public struct UniversalScalabilityFit: Sendable, Hashable {
  public var sigma: Double
  public var kappa: Double

  /// How many values of p a fit of two parameters needs to say anything.
  public static let minimumPointCount = 4

  /// Fits sigma and kappa, neither below zero, by least squares on
  /// p / C(p) - 1 = sigma (p - 1) + kappa p (p - 1).
  ///
  /// - Parameter capacities: p and C(p), the latter positive. One worker has C = 1 by definition
  ///   and adds nothing to the sums, but counts as a value of p.
  /// - Returns: nil with fewer than ``minimumPointCount`` values of p.
  public init?(_ capacities: [(workers: Int, capacity: Double)]) {
    guard Set(capacities.map(\.workers)).count >= Self.minimumPointCount else { return nil }
    let points = capacities.map { point in
      let p = Double(point.workers)
      return Point(x: p - 1, y: p * (p - 1), z: p / point.capacity - 1)
    }
    let free = Self.unconstrained(points)
    if free.sigma >= 0, free.kappa >= 0 {
      self = free
      return
    }
    // The minimum lies on an edge of the allowed quadrant: the better of the two edges has it.
    let xz = points.reduce(0) { $0 + $1.x * $1.z }
    let xx = points.reduce(0) { $0 + $1.x * $1.x }
    let yz = points.reduce(0) { $0 + $1.y * $1.z }
    let yy = points.reduce(0) { $0 + $1.y * $1.y }
    let contention = UniversalScalabilityFit(sigma: max(0, xz / xx), kappa: 0)
    let coherency = UniversalScalabilityFit(sigma: 0, kappa: max(0, yz / yy))
    self =
      contention.squaredError(of: points) <= coherency.squaredError(of: points)
      ? contention : coherency
  }

  init(sigma: Double, kappa: Double) {
    self.sigma = sigma
    self.kappa = kappa
  }

  /// The number of workers beyond which more of them are slower, sqrt((1 - sigma) / kappa); nil:
  /// there is none.
  public var peak: Double? {
    guard kappa > 0, sigma < 1 else { return nil }
    return ((1 - sigma) / kappa).squareRoot()
  }

  /// C(p).
  public func capacity(workers: Double) -> Double {
    workers / (1 + sigma * (workers - 1) + kappa * workers * (workers - 1))
  }
}

// MARK: - Least squares

extension UniversalScalabilityFit {
  /// z = sigma x + kappa y.
  private struct Point {
    var x: Double
    var y: Double
    var z: Double
  }

  /// The normal equations of two unknowns. Never singular: the points hold at least three values
  /// of p above one, and for those y / x = p differs.
  private static func unconstrained(_ points: [Point]) -> UniversalScalabilityFit {
    let xx = points.reduce(0) { $0 + $1.x * $1.x }
    let xy = points.reduce(0) { $0 + $1.x * $1.y }
    let yy = points.reduce(0) { $0 + $1.y * $1.y }
    let xz = points.reduce(0) { $0 + $1.x * $1.z }
    let yz = points.reduce(0) { $0 + $1.y * $1.z }
    let determinant = xx * yy - xy * xy
    return UniversalScalabilityFit(
      sigma: (xz * yy - yz * xy) / determinant, kappa: (yz * xx - xz * xy) / determinant)
  }

  private func squaredError(of points: [Point]) -> Double {
    points.reduce(0) { sum, point in
      let error = point.z - sigma * point.x - kappa * point.y
      return sum + error * error
    }
  }
}
