// NAS IS: the ranks of integer keys by counting. Every worker counts the keys of its part; the counts
// of all parts are added for each key, and a running sum over the keys is the rank. Three steps that
// follow each other, each of which reads what others have written: memory, and how soon a team meets.

internal import Multiprocessing

/// The IS kernel: keys from the NAS generator, ranked ten times.
struct IntegerSort: Workload {
  var keyCount: Int
  /// Keys are below this.
  var keyLimit: Int
  var reference: Reference

  let kernel = KernelName.sort
  let trafficByteCount: Double? = nil

  static let roundCount = 10

  func trial(on runner: some TrialRunner) async throws -> Trial {
    let arrays = try SortArrays(
      keyCount: keyCount, keyLimit: keyLimit, partCount: runner.workerCount)
    try await run(.generate, arrays, on: runner)
    // As NPB does, a first round without the clock.
    var mismatch = try await rank(arrays, round: 1, on: runner)
    let (seconds, _) = try await timed {
      for round in 1...Self.roundCount {
        let found = try await rank(arrays, round: round, on: runner)
        mismatch = mismatch ?? found
      }
    }
    return Trial(seconds: seconds, mismatch: mismatch ?? Self.mismatch(in: arrays))
  }

  /// One round: two keys are changed, all are ranked, and the ranks of five are compared.
  private func rank(
    _ arrays: SortArrays, round: Int, on runner: some TrialRunner
  ) async throws -> Mismatch? {
    arrays.keys[round] = Int32(round)
    arrays.keys[round + Self.roundCount] = Int32(keyLimit - round)
    try await run(.count, arrays, on: runner)
    var sums = try await run(.add, arrays, on: runner)
    var before = 0
    for part in sums.indices { (sums[part], before) = (before, before + sums[part]) }
    try await run(.accumulate, arrays, on: runner, sums)
    return reference.mismatch(in: arrays, round: round)
  }

  @discardableResult
  private func run(
    _ step: SortPart.Step, _ arrays: SortArrays, on runner: some TrialRunner, _ before: [Int] = []
  ) async throws -> [Int] {
    try await runner.map(
      (0..<arrays.partCount).map { part in
        SortPart(
          arrays: arrays, part: part, step: step, before: before.isEmpty ? 0 : before[part])
      })
  }

  /// Puts every key where its rank says; the first that is smaller than the one before it. nil: the
  /// ranks sort the keys.
  private static func mismatch(in arrays: SortArrays) -> Mismatch? {
    var ends = Array(arrays.ranks)
    var sorted = [Int32](repeating: -1, count: arrays.keys.count)
    for index in arrays.keys.indices {
      let key = Int(arrays.keys[index])
      ends[key] -= 1
      guard ends[key] >= 0, Int(ends[key]) < sorted.count else {
        return Mismatch("rank of key \(key)", expected: "0…\(sorted.count)", found: ends[key])
      }
      sorted[Int(ends[key])] = Int32(key)
    }
    for index in 1..<sorted.count where sorted[index - 1] > sorted[index] {
      return Mismatch("sorted[\(index)]", expected: sorted[index - 1], found: sorted[index])
    }
    return nil
  }
}

/// What the workers share.
struct SortArrays: Codable, Sendable {
  var keys: SharedArray<Int32>
  /// How often each key is in each part: a row for a part.
  var counts: SharedArray<Int32>
  /// How many keys are not greater than each.
  var ranks: SharedArray<Int32>
  var partCount: Int

  init(keyCount: Int, keyLimit: Int, partCount: Int) throws {
    keys = try SharedArray(count: keyCount)
    counts = try SharedArray(count: keyLimit * partCount)
    ranks = try SharedArray(count: keyLimit)
    self.partCount = partCount
  }
}

/// A worker's part of one step.
struct SortPart: KernelTask {
  enum Step: String, Codable, Sendable {
    case generate, count, add, accumulate
  }

  var arrays: SortArrays
  var part: Int
  var step: Step
  /// Keys in the parts before this one, for `accumulate`.
  var before: Int

  /// For `add`, how many keys the part's range of keys has.
  func execute() -> Int {
    switch step {
    case .generate: generate()
    case .count: count()
    case .add: return add()
    case .accumulate: accumulate()
    }
    return 0
  }

  private func range(of array: SharedArray<Int32>) -> Range<Int> {
    array.count * part / arrays.partCount..<array.count * (part + 1) / arrays.partCount
  }

  private var keyLimit: Int { arrays.ranks.count }

  /// The sum of four random numbers, as NPB has it: roughly bell-shaped.
  private func generate() {
    let range = range(of: arrays.keys)
    let factor = Double(keyLimit / 4)
    var state = Generator.state(after: 4 * range.lowerBound, from: 314_159_265)
    arrays.keys[range].withMutableSpan { keys in
      for index in keys.indices {
        var sum = 0.0
        for _ in 0..<4 {
          state = state &* Generator.multiplier & Generator.mask
          sum += Double(state) * Generator.scale
        }
        keys[index] = Int32(factor * sum)
      }
    }
  }

  private func count() {
    let row = part * keyLimit..<(part + 1) * keyLimit
    arrays.keys[range(of: arrays.keys)].withSpan { keys in
      arrays.counts[row].withMutableSpan { counts in
        for key in counts.indices { counts[key] = 0 }
        for index in keys.indices { counts[Int(keys[index])] += 1 }
      }
    }
  }

  private func add() -> Int {
    let range = range(of: arrays.ranks)
    var total = 0
    arrays.counts.withSpan { counts in
      arrays.ranks[range].withMutableSpan { ranks in
        for index in ranks.indices {
          var sum: Int32 = 0
          for row in 0..<arrays.partCount {
            sum += counts[row * keyLimit + range.lowerBound + index]
          }
          ranks[index] = sum
          total += Int(sum)
        }
      }
    }
    return total
  }

  private func accumulate() {
    var sum = Int32(before)
    arrays.ranks[range(of: arrays.ranks)].withMutableSpan { ranks in
      for index in ranks.indices {
        sum += ranks[index]
        ranks[index] = sum
      }
    }
  }

  static func map(_ tasks: [SortPart], on pool: ProcessPool) async throws -> [Int] {
    try await pool.map(tasks) { $0.execute() }
  }
}
