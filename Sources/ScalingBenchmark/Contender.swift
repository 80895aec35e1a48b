// One way of computing a kernel, of those that are compared.

internal import ProcessorTopology

/// A mode, a placement and a number of workers.
struct Contender: Sendable, Hashable {
  var mode: ExecutionMode
  var placement: NamedPlacement
  var workers: Int

  /// All that a configuration compares: the serial baseline, which is bound as a single worker of
  /// the first placement would be; then each placement with threads and with processes.
  static func all(of configuration: ScalingConfiguration) -> [Contender] {
    var contenders: [Contender] = []
    if configuration.baselines.contains(.serial), let first = configuration.placements.first {
      contenders.append(Contender(mode: .serial, placement: first, workers: 1))
    }
    for placement in configuration.placements {
      for mode in [ExecutionMode.threads, .processes]
      where mode == .processes || configuration.baselines.contains(mode) {
        contenders += configuration.workers.map {
          Contender(mode: mode, placement: placement, workers: $0)
        }
      }
    }
    return contenders
  }

  /// Starts the workers, runs one trial of the workload on them, and ends them.
  func trial(of workload: some Workload, on topology: CPUTopology) async throws -> Trial {
    switch mode {
    case .serial:
      try await trial(of: workload, on: SerialRunner(cpus: plan(on: topology)[0]))
    case .threads:
      try await trial(of: workload, on: ThreadRunner(cpuSets: plan(on: topology)))
    case .processes:
      try await trial(
        of: workload, on: ProcessRunner(workers: workers, placement: placement.placement))
    }
  }

  private func plan(on topology: CPUTopology) throws -> [CPUSet] {
    try placement.placement.plan(workers: workers, on: topology)
  }

  private func trial(
    of workload: some Workload, on runner: some TrialRunner
  ) async throws -> Trial {
    let result: Result<Trial, any Error>
    do {
      result = .success(try await workload.trial(on: runner))
    } catch {
      result = .failure(error)
    }
    await runner.finish()
    return try result.get()
  }
}
