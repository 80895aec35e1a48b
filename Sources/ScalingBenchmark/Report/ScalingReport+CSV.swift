// The results as comma-separated values (RFC 4180, with line feeds): one line each, no machine.

extension ScalingReport {
  /// A header line and one line for each result. Values that are not defined are empty.
  public var csv: String {
    let columns = [
      "kernel", "class", "placement", "mode", "workers", "seconds_median", "seconds_min",
      "seconds_lower_quartile", "seconds_upper_quartile", "seconds_max", "speedup", "efficiency",
      "karp_flatt", "gigabytes_per_second", "verified",
    ]
    let lines = [columns] + results.map(fields)
    return lines.map { $0.map(Self.quoted).joined(separator: ",") + "\n" }.joined()
  }

  private func fields(of result: Result) -> [String] {
    let numbers: [Double?] = [
      result.seconds.median, result.seconds.minimum, result.seconds.lowerQuartile,
      result.seconds.upperQuartile, result.seconds.maximum, result.speedup, result.efficiency,
      result.karpFlatt, result.bandwidth.map { $0 / 1e9 },
    ]
    return [
      result.kernel.rawValue, problemClass.rawValue, result.placement, result.mode.rawValue,
      String(result.workers),
    ] + numbers.map { $0?.description ?? "" } + [String(result.isVerified)]
  }

  private static func quoted(_ field: String) -> String {
    guard field.contains(where: { ",\"\r\n".contains($0) }) else { return field }
    return "\""
      + field.split(separator: "\"", omittingEmptySubsequences: false)
      .joined(separator: "\"\"") + "\""
  }
}
