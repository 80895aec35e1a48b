// What was measured, and what follows from it. The one model that the text, JSON and CSV writers
// and the plot read.

/// The outcome of a benchmark.
public struct ScalingReport: Sendable {
  public var machine: MachineDescription
  public var problemClass: ProblemClass
  public var repetitions: Int
  /// In the order of kernels, then as they were compared: serial, threads, processes.
  public var results: [Result]
  public var fits: [Fit]

  /// One kernel, computed in one way.
  public struct Result: Sendable, Hashable {
    public var kernel: KernelName
    /// The placement's name; that of the serial baseline is where its one thread was bound.
    public var placement: String
    public var mode: ExecutionMode
    public var workers: Int
    public var seconds: Summary
    /// The median time of the base over this one's: of the serial baseline where it was run, else
    /// of one process worker in the same placement.
    public var speedup: Double
    /// Speed-ups at the upper and the lower quartile of the time.
    public var speedupRange: ClosedRange<Double>
    /// Bytes per second that the kernel moves; nil where it does not measure that.
    public var bandwidth: Double?
    /// The first wrong value of any trial; nil: all trials are verified.
    public var mismatch: Mismatch?

    /// Speed-up for each worker.
    public var efficiency: Double { speedup / Double(workers) }
    /// nil for one worker.
    public var karpFlatt: Double? {
      karpFlattSerialFraction(speedup: speedup, workers: workers)
    }
    public var isVerified: Bool { mismatch == nil }
  }

  /// The Universal Scalability Law for one curve.
  public struct Fit: Sendable, Hashable {
    public var kernel: KernelName
    public var placement: String
    public var mode: ExecutionMode
    public var outcome: Outcome

    public enum Outcome: Sendable, Hashable {
      case fitted(UniversalScalabilityFit)
      /// Why there is none.
      case omitted(String)
    }
  }

  /// Results that are wrong.
  public var failures: [Result] {
    results.filter { !$0.isVerified }
  }

  /// One sentence for each wrong result, naming kernel, configuration and value.
  public var failureDescriptions: [String] {
    failures.compactMap { result in
      result.mismatch.map { mismatch in
        "\(result.kernel.rawValue) (class \(problemClass.rawValue), \(result.mode.rawValue), "
          + "\(Formatting.count(result.workers, "worker")), \(result.placement)) is wrong: "
          + "\(mismatch.quantity) is "
          + "\(mismatch.found), expected \(mismatch.expected)"
      }
    }
  }
}

// MARK: - From trials

extension ScalingReport {
  /// - Parameter records: One list for each kernel.
  init(
    machine: MachineDescription, configuration: ScalingConfiguration, records: [[TrialRecord]]
  ) {
    self.machine = machine
    problemClass = configuration.problemClass
    repetitions = configuration.repetitions
    results = []
    fits = []
    for kernel in records {
      let kernelResults = Self.results(of: kernel)
      results += kernelResults
      fits += Self.fits(of: kernelResults, usableCPUs: machine.usableCPUCount)
    }
  }

  private static func results(of records: [TrialRecord]) -> [Result] {
    let summaries = records.map { Summary($0.trials.map(\.seconds)) }
    return zip(records, summaries).compactMap { record, summary in
      guard let summary,
        let base = base(of: record.contender, in: zip(records.map(\.contender), summaries))
      else { return nil }
      return Result(
        kernel: record.workload.kernel, placement: record.contender.placement.name,
        mode: record.contender.mode, workers: record.contender.workers, seconds: summary,
        speedup: base / summary.median,
        speedupRange: base / summary.upperQuartile...base / summary.lowerQuartile,
        bandwidth: record.workload.trafficByteCount.map { $0 / summary.median },
        mismatch: record.trials.lazy.compactMap(\.mismatch).first)
    }
  }

  /// The time that speed-ups of `contender` refer to, in seconds.
  private static func base(
    of contender: Contender, in candidates: some Sequence<(Contender, Summary?)>
  ) -> Double? {
    var base: Double?
    for (candidate, summary) in candidates {
      if candidate.mode == .serial { return summary?.median }
      if candidate.mode == .processes, candidate.workers == 1,
        candidate.placement == contender.placement
      {
        base = summary?.median
      }
    }
    return base
  }

  private static func fits(of results: [Result], usableCPUs: Int) -> [Fit] {
    var fits: [Fit] = []
    for result in results where result.mode != .serial {
      let isNew = !fits.contains { $0.placement == result.placement && $0.mode == result.mode }
      guard isNew else { continue }
      let curve = results.filter { $0.placement == result.placement && $0.mode == result.mode }
      fits.append(
        Fit(
          kernel: result.kernel, placement: result.placement, mode: result.mode,
          outcome: outcome(of: curve, usableCPUs: usableCPUs)))
    }
    return fits
  }

  /// Workers that share CPUs are left out: that they gain nothing says nothing about scaling.
  private static func outcome(of curve: [Result], usableCPUs: Int) -> Fit.Outcome {
    guard let one = curve.first(where: { $0.workers == 1 }) else {
      return .omitted("needs a run with one worker")
    }
    let points = curve.filter { $0.workers <= usableCPUs }.map { result in
      (workers: result.workers, capacity: one.seconds.median / result.seconds.median)
    }
    if let fit = UniversalScalabilityFit(points) { return .fitted(fit) }
    let needed = UniversalScalabilityFit.minimumPointCount
    return .omitted(
      "needs \(needed) numbers of workers up to the \(usableCPUs) usable CPUs, has \(points.count)")
  }
}
