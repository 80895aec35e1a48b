// What a kernel is to the benchmark: something that can run one trial on a runner and knows
// whether the result is right. The pieces that cross to the workers are values: tasks that any
// worker may take, and shares of which every worker runs its own.

internal import Multiprocessing

/// A kernel of a given size, with the values that it must compute.
protocol Workload: Sendable {
  var kernel: KernelName { get }

  /// Bytes that the arithmetic moves between processor and memory in the timed part; nil where
  /// bandwidth is not what the kernel measures.
  var trafficByteCount: Double? { get }

  /// Prepares and warms up without the clock, runs once with it, and checks the result.
  func trial(on runner: some TrialRunner) async throws -> Trial
}

extension Workload {
  /// Tasks for a run without the clock: a sixteenth of them, from all parts of the problem, and at
  /// least two for each worker.
  func sample<Task>(of tasks: [Task], workerCount: Int) -> [Task] {
    let count = min(tasks.count, max(2 * workerCount, tasks.count / 16))
    return (0..<count).map { tasks[$0 * tasks.count / count] }
  }

  /// Runs `body` and returns how long it took, in seconds, with its result.
  func timed<R>(_ body: () async throws -> R) async rethrows -> (seconds: Double, result: R) {
    let start = ContinuousClock.now
    let result = try await body()
    return ((ContinuousClock.now - start) / .seconds(1), result)
  }
}

/// What one trial gave.
struct Trial: Sendable, Hashable {
  var seconds: Double
  /// The first value that was wrong; nil: the result is verified.
  var mismatch: Mismatch?
}

/// A value that is not what it must be.
public struct Mismatch: Sendable, Hashable {
  /// What the value is called in the kernel's definition, as in "sx".
  public var quantity: String
  public var expected: String
  public var found: String

  init(
    _ quantity: String, expected: some CustomStringConvertible, found: some CustomStringConvertible
  ) {
    self.quantity = quantity
    self.expected = expected.description
    self.found = found.description
  }
}

/// A piece of work that any worker may run, in any order.
protocol KernelTask: Codable, Sendable {
  associatedtype Output: Codable & Sendable

  func execute() -> Output

  /// Runs the tasks on the pool; results in the order of the tasks. Each task type says this for
  /// itself, because a closure in a generic function captures the type and cannot cross.
  static func map(_ tasks: [Self], on pool: ProcessPool) async throws -> [Output]
}

/// A piece of work of which every worker runs its own part.
protocol KernelShare: Codable, Sendable {
  func execute(part: Int, of partCount: Int)

  /// Runs the share once on every worker of the pool.
  static func broadcast(_ share: Self, partCount: Int, on pool: ProcessPool) async throws
}
