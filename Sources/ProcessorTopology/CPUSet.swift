// A set of CPU numbers as an array of bit words, the form that the kernel's affinity calls take.
// The last word is never zero, so equal sets have equal storage, hash and list form. Numbers run
// from 0 to `CPUSet.highestCPU`; what lies beyond is a mistake, and is refused before it can make
// a huge array.

/// A set of CPU numbers: `"0-3,8"`, `"0-10:2"`, `[0, 2, 4]`, `CPUSet(0..<4)`.
///
/// The set is a value and may be used from any thread. Set operations cost one step for each 64
/// CPU numbers up to the highest; membership is constant time.
public struct CPUSet: SetAlgebra, Sequence, Hashable, Sendable {
  public typealias Element = Int
  public typealias ArrayLiteralElement = Int

  /// The highest number that a set holds, 1,048,575: 128 times the largest Linux configuration.
  package static let highestCPU = (1 << 20) - 1

  /// CPU n is bit n % 64 of word n / 64. The last word is not zero.
  package private(set) var words: [UInt]

  /// The empty set.
  public init() {
    words = []
  }

  /// The set that the given words describe, CPU n being bit n % 64 of word n / 64.
  package init(words: [UInt]) {
    self.words = words
    trim()
  }

  /// How many CPUs the set holds.
  public var count: Int {
    words.reduce(0) { $0 + $1.nonzeroBitCount }
  }

  /// Whether the set holds no CPU.
  public var isEmpty: Bool {
    words.isEmpty
  }

  /// The lowest CPU, or nil when the set is empty.
  package var lowest: Int? {
    for (index, word) in words.enumerated() where word != 0 {
      return index * UInt.bitWidth + word.trailingZeroBitCount
    }
    return nil
  }

  /// Whether the set holds `cpu`; false for a number that no set can hold.
  public func contains(_ cpu: Int) -> Bool {
    guard cpu >= 0, cpu / UInt.bitWidth < words.count else { return false }
    return words[cpu / UInt.bitWidth] & Self.bit(cpu) != 0
  }

  private static func bit(_ cpu: Int) -> UInt {
    1 << UInt(cpu % UInt.bitWidth)
  }

  private mutating func trim() {
    while words.last == 0 { words.removeLast() }
  }
}

// MARK: - Changing one element

extension CPUSet {
  /// Adds `cpu`, which must lie between 0 and 1,048,575.
  @discardableResult
  public mutating func insert(_ cpu: Int) -> (inserted: Bool, memberAfterInsert: Int) {
    precondition(
      cpu >= 0 && cpu <= Self.highestCPU, "a CPU number lies between 0 and \(Self.highestCPU)")
    let index = cpu / UInt.bitWidth
    if index >= words.count {
      words.append(contentsOf: repeatElement(0, count: index + 1 - words.count))
    }
    let isNew = words[index] & Self.bit(cpu) == 0
    words[index] |= Self.bit(cpu)
    return (isNew, cpu)
  }

  /// Takes `cpu` out of the set and returns it, or nil when it was not there.
  @discardableResult
  public mutating func remove(_ cpu: Int) -> Int? {
    guard contains(cpu) else { return nil }
    words[cpu / UInt.bitWidth] &= ~Self.bit(cpu)
    trim()
    return cpu
  }

  /// Adds `cpu`, which must lie between 0 and 1,048,575, and returns it when it was there before.
  @discardableResult
  public mutating func update(with cpu: Int) -> Int? {
    insert(cpu).inserted ? nil : cpu
  }
}

// MARK: - Algebra

extension CPUSet {
  /// The CPUs of either set.
  public func union(_ other: CPUSet) -> CPUSet {
    var result = self
    result.formUnion(other)
    return result
  }

  /// The CPUs of both sets.
  public func intersection(_ other: CPUSet) -> CPUSet {
    var result = self
    result.formIntersection(other)
    return result
  }

  /// The CPUs of exactly one of the two sets.
  public func symmetricDifference(_ other: CPUSet) -> CPUSet {
    var result = self
    result.formSymmetricDifference(other)
    return result
  }

  /// Adds the CPUs of `other`.
  public mutating func formUnion(_ other: CPUSet) {
    combine(with: other, |)
  }

  /// Keeps the CPUs that `other` holds too.
  public mutating func formIntersection(_ other: CPUSet) {
    combine(with: other, &)
  }

  /// Keeps the CPUs that `other` does not hold and adds those that only `other` holds.
  public mutating func formSymmetricDifference(_ other: CPUSet) {
    combine(with: other, ^)
  }

  private mutating func combine(with other: CPUSet, _ operation: (UInt, UInt) -> UInt) {
    if words.count < other.words.count {
      words.append(contentsOf: repeatElement(0, count: other.words.count - words.count))
    }
    for index in words.indices {
      words[index] = operation(words[index], index < other.words.count ? other.words[index] : 0)
    }
    trim()
  }
}

// MARK: - Iteration

extension CPUSet {
  /// Iterates over the CPU numbers in ascending order.
  public func makeIterator() -> Iterator {
    Iterator(words: words)
  }

  public var underestimatedCount: Int {
    count
  }

  /// The CPU numbers of a set in ascending order.
  public struct Iterator: IteratorProtocol, Sendable {
    private let words: [UInt]
    private var index = 0
    private var remaining: UInt

    fileprivate init(words: [UInt]) {
      self.words = words
      remaining = words.first ?? 0
    }

    /// The next higher CPU number, or nil at the end.
    public mutating func next() -> Int? {
      while remaining == 0 {
        index += 1
        guard index < words.count else { return nil }
        remaining = words[index]
      }
      let bit = remaining.trailingZeroBitCount
      remaining &= remaining - 1
      return index * UInt.bitWidth + bit
    }
  }
}
