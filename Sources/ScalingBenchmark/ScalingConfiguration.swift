// What is to be measured, and whether this machine can do it.

public import ProcessorTopology

/// Which kernels run, how large, on how many workers, where, and against what.
public struct ScalingConfiguration: Sendable {
  public var kernels: [KernelName]
  public var problemClass: ProblemClass
  /// How many workers, each a configuration of its own.
  public var workers: [Int]
  public var placements: [NamedPlacement]
  /// Trials of each configuration.
  public var repetitions: Int
  /// What processes are compared with: ``ExecutionMode/serial``, ``ExecutionMode/threads``.
  public var baselines: Set<ExecutionMode>

  /// Everything, in class W, on 1 to all usable CPUs.
  public init(
    kernels: [KernelName] = KernelName.allCases, problemClass: ProblemClass = .w,
    workers: [Int] = Self.defaultWorkers(usableCPUs: CPUTopology.usableCPUCount),
    placements: [NamedPlacement] = [.spread], repetitions: Int = 5,
    baselines: Set<ExecutionMode> = [.serial, .threads]
  ) {
    self.kernels = kernels
    self.problemClass = problemClass
    self.workers = workers
    self.placements = placements
    self.repetitions = repetitions
    self.baselines = baselines
  }

  /// 1 to all usable CPUs; on large machines about twelve values, close together at first.
  public static func defaultWorkers(usableCPUs: Int) -> [Int] {
    let target = 12
    if usableCPUs <= target { return Array(1...max(1, usableCPUs)) }
    let steps = target - 4
    // Equal differences from four to all, each rounded to an even number.
    let large = (1..<steps).map { step in
      Int((2 + Double((usableCPUs - 4) * step) / Double(2 * steps)).rounded()) * 2
    }
    return Set([1, 2, 3, 4, usableCPUs] + large).filter { $0 <= usableCPUs }.sorted()
  }

  /// Reads worker counts such as "1,2,4" and "1-4,8".
  public static func workers(_ text: String) throws(ScalingError) -> [Int] {
    let malformed = ScalingError.malformed(
      option: "--workers", text: text, advice: "give numbers and ranges, as in 1,2,4 or 1-4")
    var counts: Set<Int> = []
    for item in text.split(separator: ",", omittingEmptySubsequences: false) {
      if let count = Int(item) {
        guard count > 0 else { throw .workerCountNotPositive(count) }
        counts.insert(count)
        continue
      }
      let bounds = item.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
      guard bounds.count == 2, let first = bounds[0], let last = bounds[1], first <= last else {
        throw malformed
      }
      guard first > 0 else { throw .workerCountNotPositive(first) }
      guard last <= 1 << 16 else { throw malformed }
      counts.formUnion(first...last)
    }
    return counts.sorted()
  }
}

// MARK: - Checks

extension ScalingConfiguration {
  /// More workers than this for each usable CPU are refused.
  private static let workersPerCPULimit = 4

  /// Whether all this can be measured here.
  ///
  /// - Throws: The first thing that is wrong, with what to do about it.
  public func validate(
    on topology: CPUTopology, usableCPUs: Int = CPUTopology.usableCPUCount
  ) throws(ScalingError) {
    guard repetitions > 0 else { throw .repetitionsNotPositive(repetitions) }
    if let count = workers.first(where: { $0 < 1 }) { throw .workerCountNotPositive(count) }
    for (option, isEmpty) in [
      ("--workers", workers.isEmpty), ("--kernels", kernels.isEmpty),
      ("--placements", placements.isEmpty),
    ] where isEmpty {
      throw .malformed(option: option, text: "", advice: "name at least one")
    }
    let limit = Self.workersPerCPULimit * usableCPUs
    if let count = workers.first(where: { $0 > limit }) {
      throw .tooManyWorkers(requested: count, limit: limit, usableCPUs: usableCPUs)
    }
    if !baselines.contains(.serial), !workers.contains(1) { throw .noBase }
    for placement in placements { try validate(placement, on: topology) }
    try validateMemory()
  }

  private func validate(
    _ placement: NamedPlacement, on topology: CPUTopology
  ) throws(ScalingError) {
    for count in workers {
      do {
        _ = try placement.placement.plan(workers: count, on: topology)
      } catch {
        throw .placement(placement.name, error)
      }
      if let cpus = placement.cpus, cpus.count < count {
        throw .tooFewCPUs(placement: placement.name, cpus: cpus.count, workers: count)
      }
    }
  }

  private func validateMemory() throws(ScalingError) {
    guard kernels.contains(.triad), let available = MachineMemory.availableByteCount else { return }
    let needed = Triad(problemClass).memoryByteCount
    if needed > available {
      throw .notEnoughMemory(neededByteCount: needed, availableByteCount: available)
    }
  }
}
