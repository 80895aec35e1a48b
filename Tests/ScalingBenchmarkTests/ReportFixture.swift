// A report with made-up numbers for tests of what is written from it.

@testable import ScalingBenchmark

extension MachineDescription {
  static let fixture = MachineDescription(
    cpuModel: "Test <CPU> \"9\" & more, 3.0 GHz", kernelRelease: "6.18.5", packageCount: 2,
    numaNodeCount: 2, coreCount: 32, cpuCount: 64, usableCPUCount: 64, l3ByteCount: 32 << 20,
    l3Count: 4, loadBefore: [0.5, 0.25, 0], loadAfter: [15.25, 4, 1],
    probe: CacheLineProbe(cpus: [0, 1], nanoseconds: 112.4))
}

/// A workload that is never run.
private struct Idle: Workload {
  var kernel: KernelName
  var trafficByteCount: Double? { kernel == .triad ? 2e9 : nil }

  func trial(on runner: some TrialRunner) async throws -> Trial {
    Trial(seconds: 1)
  }
}

extension ScalingReport {
  /// Kernels that follow the Universal Scalability Law, with a spread of some per cent.
  static func fixture(
    workers: [Int], kernels: [KernelName] = KernelName.allCases,
    placements: [NamedPlacement] = [.spread], baselines: Set<ExecutionMode> = [.serial, .threads],
    mismatch: Mismatch? = nil
  ) -> ScalingReport {
    let configuration = ScalingConfiguration(
      kernels: kernels, workers: workers, placements: placements, repetitions: 3,
      baselines: baselines)
    let records = kernels.map { kernel in
      Contender.all(of: configuration).map { contender in
        record(kernel, contender, mismatch: contender.workers == 2 ? mismatch : nil)
      }
    }
    return ScalingReport(machine: .fixture, configuration: configuration, records: records)
  }

  private static func record(
    _ kernel: KernelName, _ contender: Contender, mismatch: Mismatch?
  ) -> TrialRecord {
    let law: UniversalScalabilityFit =
      switch kernel {
      case .ep: UniversalScalabilityFit(sigma: 0.002, kappa: 0)
      case .triad: UniversalScalabilityFit(sigma: 0.25, kappa: 0.001)
      case .mandelbrot, .stencil, .gups, .sort: UniversalScalabilityFit(sigma: 0.01, kappa: 0.0008)
      }
    let penalty = contender.mode == .threads ? 1.03 : contender.placement.name == "none" ? 1.1 : 1
    let seconds = penalty / law.capacity(workers: Double(contender.workers))
    let trials = [1, 1.04, 0.97].map { Trial(seconds: seconds * $0, mismatch: mismatch) }
    return TrialRecord(workload: Idle(kernel: kernel), contender: contender, trials: trials)
  }
}
