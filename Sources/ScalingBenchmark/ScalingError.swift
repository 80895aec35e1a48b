// What can keep the benchmark from running. A wrong result is not an error here: it is part of the
// report.

public import ProcessorTopology
public import SystemPackage

/// Why the benchmark cannot run as asked. All but the last are found before anything is started.
public enum ScalingError: Error, Sendable, Hashable, CustomStringConvertible {
  /// A list of worker counts, kernels or placements that cannot be read.
  case malformed(option: String, text: String, advice: String)
  /// Fewer than one worker.
  case workerCountNotPositive(Int)
  /// So many workers for each CPU that nothing about scaling would be measured.
  case tooManyWorkers(requested: Int, limit: Int, usableCPUs: Int)
  /// Fewer than one repetition.
  case repetitionsNotPositive(Int)
  /// An explicit placement with fewer CPUs than workers.
  case tooFewCPUs(placement: String, cpus: Int, workers: Int)
  /// A placement that this machine cannot give.
  case placement(String, PlacementError)
  /// Nothing to compute speed-ups from.
  case noBase
  /// The arrays of the triad kernel do not fit.
  case notEnoughMemory(neededByteCount: Int, availableByteCount: Int)
  /// The system refused a thread.
  case threadStart(Errno)

  public var description: String {
    switch self {
    case .malformed(let option, let text, let advice):
      "\(option): '\(text)' cannot be used; \(advice)"
    case .workerCountNotPositive(let count):
      "--workers: \(count) is not a number of workers; give 1 or more, as in 1,2,4 or 1-4"
    case .tooManyWorkers(let requested, let limit, let usableCPUs):
      "--workers: \(requested) workers on \(usableCPUs) usable CPUs share CPUs and say nothing "
        + "about scaling; give at most \(limit)"
    case .repetitionsNotPositive(let count):
      "--repetitions: \(count) is not a number of trials; give 1 or more"
    case .tooFewCPUs(let placement, let cpus, let workers):
      "--placements: \(placement) names \(Formatting.count(cpus, "CPU")) for \(workers) "
        + "workers; name one for each worker, or give --workers at most \(cpus)"
    case .placement(let name, let error):
      "--placements: \(name) is not possible: \(error); choose other CPUs or another placement "
        + "(`mproc topology` shows what there is)"
    case .noBase:
      "speed-ups need something to compare with; add 1 to --workers, or serial to --baselines"
    case .notEnoughMemory(let needed, let available):
      "--class: the triad kernel needs \(Formatting.bytes(needed)) and "
        + "\(Formatting.bytes(available)) are available; choose a smaller class, or leave "
        + "triad out of --kernels"
    case .threadStart(let error):
      "a thread could not be started: \(error)"
    }
  }
}
