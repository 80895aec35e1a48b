// The report as JSON: an object with the machine, the results and the fits. Units are in the names.

extension ScalingReport {
  /// The report as JSON text, ending with a line feed.
  public var json: String {
    let members: [(String, JSONValue)] = [
      ("machine", machine.json),
      ("class", .string(problemClass.rawValue)),
      ("repetitions", .integer(repetitions)),
      ("results", .array(results.map { $0.json(problemClass) })),
      ("usl", .array(fits.map(\.json))),
    ]
    return JSONValue.object(members).text() + "\n"
  }
}

extension ScalingReport.Result {
  fileprivate func json(_ problemClass: ProblemClass) -> JSONValue {
    var members: [(String, JSONValue)] = [
      ("kernel", .string(kernel.rawValue)),
      ("class", .string(problemClass.rawValue)),
      ("placement", .string(placement)),
      ("mode", .string(mode.rawValue)),
      ("workers", .integer(workers)),
      ("seconds_median", .number(seconds.median)),
      ("seconds_min", .number(seconds.minimum)),
      ("seconds_lower_quartile", .number(seconds.lowerQuartile)),
      ("seconds_upper_quartile", .number(seconds.upperQuartile)),
      ("seconds_max", .number(seconds.maximum)),
      ("speedup", .number(speedup)),
      ("efficiency", .number(efficiency)),
      ("karp_flatt", JSONValue(karpFlatt)),
      ("gigabytes_per_second", JSONValue(bandwidth.map { $0 / 1e9 })),
      ("verified", .bool(isVerified)),
    ]
    if let mismatch {
      members.append(
        (
          "wrong_value",
          .object([
            ("name", .string(mismatch.quantity)), ("found", .string(mismatch.found)),
            ("expected", .string(mismatch.expected)),
          ])
        ))
    }
    return .object(members)
  }
}

extension ScalingReport.Fit {
  fileprivate var json: JSONValue {
    var members: [(String, JSONValue)] = [
      ("kernel", .string(kernel.rawValue)),
      ("placement", .string(placement)),
      ("mode", .string(mode.rawValue)),
    ]
    switch outcome {
    case .fitted(let fit):
      members += [
        ("sigma", .number(fit.sigma)), ("kappa", .number(fit.kappa)),
        ("peak_workers", JSONValue(fit.peak)),
      ]
    case .omitted(let reason):
      members.append(("omitted", .string(reason)))
    }
    return .object(members)
  }
}

extension MachineDescription {
  fileprivate var json: JSONValue {
    .object([
      ("cpu_model", .string(cpuModel)),
      ("kernel_release", .string(kernelRelease)),
      ("packages", .integer(packageCount)),
      ("numa_nodes", .integer(numaNodeCount)),
      ("cores", .integer(coreCount)),
      ("cpus", .integer(cpuCount)),
      ("usable_cpus", .integer(usableCPUCount)),
      ("l3_bytes", JSONValue(l3ByteCount)),
      ("l3_caches", .integer(l3Count)),
      ("load_before", .array(loadBefore.map { .number($0) })),
      ("load_after", .array(loadAfter.map { .number($0) })),
      (
        "cache_line_round_trip",
        probe.map { probe in
          .object([
            ("cpus", .array(probe.cpus.map { .integer($0) })),
            ("nanoseconds", .number(probe.nanoseconds)),
            ("level", .string(probe.isNear ? "near" : "far")),
          ])
        } ?? .null
      ),
    ])
  }
}
