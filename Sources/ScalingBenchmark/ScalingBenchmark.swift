// The benchmark itself: runs every kernel in every way that is compared, and makes the report.
//
// Trials of all configurations take turns, in one direction and then in the other, so that whatever
// changes on the machine while the benchmark runs falls on all of them alike. Workers exist only
// for the trial that uses them: those of other configurations are neither in the way nor in memory.

public import ProcessorTopology

/// Measures how kernels scale over the workers of a machine.
public struct ScalingBenchmark: Sendable {
  public let configuration: ScalingConfiguration
  private let topology: CPUTopology
  private let workloads: [any Workload]

  /// - Throws: What is wrong with the configuration, before anything is started.
  public init(
    _ configuration: ScalingConfiguration, on topology: CPUTopology = .current
  ) throws(ScalingError) {
    try self.init(
      configuration, on: topology,
      workloads: configuration.kernels.map { Self.workload($0, configuration.problemClass) })
  }

  init(
    _ configuration: ScalingConfiguration, on topology: CPUTopology, workloads: [any Workload]
  ) throws(ScalingError) {
    try configuration.validate(on: topology)
    self.configuration = configuration
    self.topology = topology
    self.workloads = workloads
  }

  /// What is about to be run, for those who wait.
  public struct Progress: Sendable, Hashable {
    public var completedTrials: Int
    public var trialCount: Int
    /// As in "ep, 2 processes, spread".
    public var nextTrial: String
  }

  /// Runs all trials.
  ///
  /// A wrong result does not end the run: the report has it.
  ///
  /// - Parameter progress: Called before each trial.
  /// - Throws: What the pool or the system throws.
  public func run(progress: (Progress) -> Void = { _ in }) async throws -> ScalingReport {
    var machine = MachineDescription.current(topology)
    let contenders = Contender.all(of: configuration)
    var records = workloads.map { workload in
      contenders.map { TrialRecord(workload: workload, contender: $0) }
    }
    let trialCount = configuration.repetitions * records.count * contenders.count
    var completed = 0
    for round in 0..<configuration.repetitions {
      for kernel in records.indices {
        for turn in contenders.indices {
          let index = round.isMultiple(of: 2) ? turn : contenders.count - 1 - turn
          progress(
            Progress(
              completedTrials: completed, trialCount: trialCount,
              nextTrial: records[kernel][index].title))
          try await records[kernel][index].runTrial(on: topology)
          completed += 1
        }
      }
    }
    machine.loadAfter = MachineDescription.currentLoad()
    return ScalingReport(machine: machine, configuration: configuration, records: records)
  }

  private static func workload(
    _ kernel: KernelName, _ problemClass: ProblemClass
  ) -> any Workload {
    switch kernel {
    case .ep: GaussianPairs(problemClass)
    case .triad: Triad(problemClass)
    case .mandelbrot: Mandelbrot(problemClass)
    case .stencil: Stencil(problemClass)
    case .gups: RandomAccess(problemClass)
    case .sort: IntegerSort(problemClass)
    }
  }
}

/// The trials of one workload by one contender.
struct TrialRecord: Sendable {
  let workload: any Workload
  let contender: Contender
  var trials: [Trial] = []

  var title: String {
    let workers = contender.mode == .serial ? "" : "\(contender.workers) "
    return "\(workload.kernel.rawValue), \(workers)\(contender.mode.rawValue), "
      + contender.placement.name
  }

  mutating func runTrial(on topology: CPUTopology) async throws {
    trials.append(try await contender.trial(of: workload, on: topology))
  }
}
