// The inner loop of EP. Works through a block in batches that stay in the first-level cache: first
// the uniform pairs, four independent chains of the generator at a time because one is bound by
// the latency of a multiplication; those outside the unit circle are dropped without a branch,
// which would be mispredicted every fifth time; then logarithms and roots of the rest.

internal import Glibc

enum GaussianLoop {
  private static let batch = 1024
  private static let lanes = 4

  /// Sums over the pairs of a block, in the order of the pairs.
  static func sums(of block: GaussianBlock) -> GaussianSums {
    unsafe withUnsafeTemporaryAllocation(of: Double.self, capacity: 3 * batch) { memory in
      let base = memory.baseAddress!  // The capacity is not zero.
      let buffers = unsafe Buffers(u: base, v: base + batch, square: base + 2 * batch)
      var sums = GaussianSums()
      var counts = InlineArray<10, Int>(repeating: 0)
      var done = 0
      while done < block.count {
        let count = min(batch, block.count - done)
        let accepted = unsafe fill(buffers, first: block.first + done, count: count)
        unsafe add(buffers, count: accepted, to: &sums, &counts)
        done += count
      }
      for annulus in 0..<GaussianSums.annulusCount {
        sums.counts[annulus] = counts[annulus]
      }
      return sums
    }
  }

  /// Coordinates of points in the unit circle, and their squared distance from its centre.
  @unsafe
  private struct Buffers {
    var u: UnsafeMutablePointer<Double>
    var v: UnsafeMutablePointer<Double>
    var square: UnsafeMutablePointer<Double>
  }

  /// Generates `count` pairs from pair number `first` on; returns how many were kept.
  @inline(__always)
  private static func fill(_ buffers: Buffers, first: Int, count: Int) -> Int {
    let pairStep = Generator.multiplier &* Generator.multiplier & Generator.mask
    let laneStep = Generator.power(pairStep, lanes)
    var a = Generator.state(after: 2 * first + 1)
    var b = a &* pairStep & Generator.mask
    var c = b &* pairStep & Generator.mask
    var d = c &* pairStep & Generator.mask
    var kept = 0
    var index = 0
    while index + lanes <= count {
      unsafe keep(a, in: buffers, &kept)
      unsafe keep(b, in: buffers, &kept)
      unsafe keep(c, in: buffers, &kept)
      unsafe keep(d, in: buffers, &kept)
      a = a &* laneStep & Generator.mask
      b = b &* laneStep & Generator.mask
      c = c &* laneStep & Generator.mask
      d = d &* laneStep & Generator.mask
      index += lanes
    }
    while index < count {
      unsafe keep(a, in: buffers, &kept)
      a = a &* pairStep & Generator.mask
      index += 1
    }
    return kept
  }

  /// Writes the pair that starts with `state` at `kept`, and moves on only if it is accepted.
  @inline(__always)
  private static func keep(_ state: UInt64, in buffers: Buffers, _ kept: inout Int) {
    let next = state &* Generator.multiplier & Generator.mask
    let u = 2 * (Generator.scale * Double(Int64(bitPattern: state))) - 1
    let v = 2 * (Generator.scale * Double(Int64(bitPattern: next))) - 1
    let square = u * u + v * v
    unsafe buffers.u[kept] = u
    unsafe buffers.v[kept] = v
    unsafe buffers.square[kept] = square
    kept &+= square <= 1 ? 1 : 0
  }

  @inline(__always)
  private static func add(
    _ buffers: Buffers, count: Int, to sums: inout GaussianSums,
    _ counts: inout InlineArray<10, Int>
  ) {
    var x = sums.x
    var y = sums.y
    for index in 0..<count {
      let square = unsafe buffers.square[index]
      let factor = (-2 * log(square) / square).squareRoot()
      let deviateX = unsafe buffers.u[index] * factor
      let deviateY = unsafe buffers.v[index] * factor
      let magnitudeX = abs(deviateX)
      let magnitudeY = abs(deviateY)
      counts[Int(magnitudeX > magnitudeY ? magnitudeX : magnitudeY)] &+= 1
      x += deviateX
      y += deviateY
    }
    sums.x = x
    sums.y = y
  }
}
