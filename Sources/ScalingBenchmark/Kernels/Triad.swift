// STREAM's triad, on arrays in shared memory. Each pass adds a multiple of one array to another and
// stores the sum in the third, and the three change their roles from pass to pass, so that every
// pass overwrites what an earlier one wrote. All elements of an array stay equal, and equal to a
// recurrence of single numbers: what STREAM's own check uses.
//
// Every worker fills its own part before the clock starts, which puts the pages on its NUMA node
// and into its page table, and then works on that part only.

internal import Multiprocessing
internal import Synchronization

/// The triad kernel.
struct Triad: Workload {
  var elementCount: Int
  var passCount: Int

  let kernel = KernelName.triad

  /// Two arrays are read and one is written in each pass, as STREAM counts them; the reading of
  /// lines that are then overwritten is left out.
  var trafficByteCount: Double? {
    Double(arrayCount * MemoryLayout<Double>.stride) * Double(elementCount) * Double(passCount)
  }

  /// What the three arrays take.
  var memoryByteCount: Int {
    arrayCount * MemoryLayout<Double>.stride * elementCount
  }

  private let arrayCount = 3

  /// From A on an array is many times what any processor's last-level cache holds.
  init(_ problemClass: ProblemClass) {
    switch problemClass {
    case .s: self.init(elementCount: 1 << 20, passCount: 36)
    case .w: self.init(elementCount: 1 << 23, passCount: 12)
    case .a: self.init(elementCount: 1 << 25, passCount: 12)
    case .b: self.init(elementCount: 1 << 27, passCount: 12)
    case .c: self.init(elementCount: 1 << 29, passCount: 12)
    }
  }

  init(elementCount: Int, passCount: Int) {
    self.elementCount = elementCount
    self.passCount = passCount
  }

  func trial(on runner: some TrialRunner) async throws -> Trial {
    let arrays = try TriadArrays(count: elementCount)
    defer { TriadArrays.inUse.withLock { $0[arrays.key] = nil } }
    try await runner.broadcast(TriadFill(arrays: arrays))
    let (seconds, _) = try await timed {
      try await runner.broadcast(TriadPasses(key: arrays.key, count: passCount))
    }
    return Trial(seconds: seconds, mismatch: mismatch(in: arrays))
  }

  /// The first element that is not what the recurrence gives; nil: verified.
  func mismatch(in arrays: TriadArrays) -> Mismatch? {
    let expected = Self.expectedValues(after: passCount)
    for (name, array, value) in zip3(["a", "b", "c"], arrays.all, expected) {
      if let index = array.withSpan({ TriadLoop.firstIndex(in: $0, notNear: value) }) {
        return Mismatch("\(name)[\(index)]", expected: value, found: array[index])
      }
    }
    return nil
  }

  /// The value of all elements of each array after `passCount` passes.
  static func expectedValues(after passCount: Int) -> [Double] {
    var values = TriadArrays.initialValues
    for pass in 0..<passCount {
      values[pass % 3] = values[(pass + 1) % 3] + TriadLoop.factor * values[(pass + 2) % 3]
    }
    return values
  }

  private func zip3<A, B, C>(_ a: [A], _ b: [B], _ c: [C]) -> [(A, B, C)] {
    zip(a, zip(b, c)).map { ($0, $1.0, $1.1) }
  }
}

/// The three arrays, the same memory in all processes that hold them.
struct TriadArrays: Codable, Sendable {
  var all: [SharedArray<Double>]
  /// Names the arrays of one trial, in the process that made them and in its workers.
  var key: Int

  /// As in STREAM.
  static let initialValues = [1.0, 2.0, 0.0]

  /// The arrays that this process works on, kept from the filling to the passes: a worker that
  /// dropped them would have to map them again under the clock.
  static let inUse = Mutex<[Int: TriadArrays]>([:])

  private static let lastKey = Atomic<Int>(0)

  init(count: Int) throws {
    all = try Self.initialValues.map { _ in try SharedArray<Double>(count: count) }
    key = Self.lastKey.wrappingAdd(1, ordering: .relaxed).newValue
  }
}

/// Fills a worker's part, and keeps the arrays in its process.
struct TriadFill: KernelShare {
  var arrays: TriadArrays

  func execute(part: Int, of partCount: Int) {
    TriadArrays.inUse.withLock { $0[arrays.key] = arrays }
    for (array, value) in zip(arrays.all, TriadArrays.initialValues) {
      array[array.range(ofPart: part, of: partCount)].withMutableSpan { span in
        for index in span.indices { span[index] = value }
      }
    }
  }

  static func broadcast(_ share: TriadFill, partCount: Int, on pool: ProcessPool) async throws {
    try await pool.broadcast(share, partCount) { share, partCount in
      share.execute(part: CurrentProcess.workerIndex ?? 0, of: partCount)
    }
  }
}

/// Runs passes on a worker's part of the arrays that it keeps.
struct TriadPasses: KernelShare {
  var key: Int
  var count: Int

  func execute(part: Int, of partCount: Int) {
    guard let arrays = TriadArrays.inUse.withLock({ $0[key] })?.all else { return }
    let parts = arrays.map { $0[$0.range(ofPart: part, of: partCount)] }
    for pass in 0..<count {
      TriadLoop.pass(
        into: parts[pass % 3], adding: parts[(pass + 1) % 3], scaled: parts[(pass + 2) % 3])
    }
  }

  static func broadcast(_ share: TriadPasses, partCount: Int, on pool: ProcessPool) async throws {
    try await pool.broadcast(share, partCount) { share, partCount in
      share.execute(part: CurrentProcess.workerIndex ?? 0, of: partCount)
    }
  }
}

extension SharedArray {
  /// Which elements belong to a part when the array is cut into equal ones.
  fileprivate func range(ofPart part: Int, of partCount: Int) -> Range<Int> {
    count * part / partCount..<count * (part + 1) / partCount
  }
}
