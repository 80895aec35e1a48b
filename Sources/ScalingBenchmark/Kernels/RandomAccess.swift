// HPC Challenge's RandomAccess, measured in giga-updates per second (GUPS): numbers from a shift
// register choose places in a large table, and each is combined with its place by exclusive or. The
// table is much larger than any cache, so nearly every update waits for memory, and with small pages
// for an address translation as well.
//
// As in the original, updates of different workers may meet in one place and one be lost; a replay,
// which undoes all of them, may leave one place in a hundred wrong.

internal import Multiprocessing

/// The RandomAccess kernel: a table of 2^m words, four updates for each.
struct RandomAccess: Workload {
  var logarithm: Int

  let kernel = KernelName.gups
  let trafficByteCount: Double? = nil

  /// Updates in a task.
  static let blockCount = 1 << 16

  init(_ problemClass: ProblemClass) {
    switch problemClass {
    case .s: self.init(logarithm: 16)
    case .w: self.init(logarithm: 22)
    case .a: self.init(logarithm: 25)
    case .b: self.init(logarithm: 28)
    case .c: self.init(logarithm: 30)
    }
  }

  init(logarithm: Int) {
    self.logarithm = logarithm
  }

  func trial(on runner: some TrialRunner) async throws -> Trial {
    let table = try SharedArray<UInt64>(count: 1 << logarithm, huge: .ifAvailable)
    _ = try await runner.map(blocks(of: table, .fill, count: table.count))
    let updates = blocks(of: table, .update, count: 4 * table.count)
    let (seconds, _) = try await timed { try await runner.map(updates) }
    _ = try await runner.map(updates)
    return Trial(seconds: seconds, mismatch: mismatch(in: table))
  }

  private func blocks(
    of table: SharedArray<UInt64>, _ step: RandomAccessBlock.Step, count: Int
  ) -> [RandomAccessBlock] {
    stride(from: 0, to: count, by: Self.blockCount).map { first in
      RandomAccessBlock(
        table: table, step: step, range: first..<min(first + Self.blockCount, count))
    }
  }

  /// After the replay each place holds its own number again, as at first. nil: verified.
  func mismatch(in table: SharedArray<UInt64>) -> Mismatch? {
    let errors = table.withSpan { span in
      var errors = 0
      for index in span.indices where span[index] != UInt64(index) { errors += 1 }
      return errors
    }
    return errors <= table.count / 100
      ? nil : Mismatch("wrong places", expected: "at most 1 %", found: errors)
  }
}

/// A block of places to fill, or of the sequence of updates.
struct RandomAccessBlock: KernelTask {
  enum Step: String, Codable, Sendable {
    case fill, update
  }

  var table: SharedArray<UInt64>
  var step: Step
  var range: Range<Int>

  /// How many there were.
  func execute() -> Int {
    table.withMutableSpan { span in
      switch step {
      case .fill:
        for index in range { span[index] = UInt64(index) }
      case .update:
        unsafe span.withUnsafeMutableBufferPointer { table in
          unsafe Self.update(table, range)
        }
      }
    }
    return range.count
  }

  private static func update(_ table: UnsafeMutableBufferPointer<UInt64>, _ range: Range<Int>) {
    let mask = UInt64(table.count - 1)
    var number = ShiftRegister.number(range.lowerBound)
    for _ in range {
      number = ShiftRegister.next(number)
      unsafe table[Int(number & mask)] ^= number
    }
  }

  static func map(_ tasks: [RandomAccessBlock], on pool: ProcessPool) async throws -> [Int] {
    try await pool.map(tasks) { $0.execute() }
  }
}

/// The sequence of RandomAccess: powers of x in GF(2)[x] modulo x^63 + x^2 + x + 1, as the benchmark
/// has them in words of 64 bits.
enum ShiftRegister {
  private static let polynomial: UInt64 = 7

  @inline(__always)
  static func next(_ number: UInt64) -> UInt64 {
    (number << 1) ^ (number >> 63 == 1 ? polynomial : 0)
  }

  /// The number at a position of the sequence, 1 at 0; by squaring, as HPC Challenge starts a
  /// process in the middle of it.
  static func number(_ position: Int) -> UInt64 {
    guard position > 0 else { return 1 }
    // x to the powers 0, 2, 4, …: squaring is linear.
    var squares: [UInt64] = []
    var power: UInt64 = 1
    for _ in 0..<64 {
      squares.append(power)
      power = next(next(power))
    }
    var result: UInt64 = 2
    var bit = Int.bitWidth - 1 - position.leadingZeroBitCount
    while bit > 0 {
      var square: UInt64 = 0
      for index in 0..<64 where (result >> index) & 1 == 1 { square ^= squares[index] }
      result = square
      bit -= 1
      if (position >> bit) & 1 == 1 { result = next(result) }
    }
    return result
  }
}
