// The report for a person: the machine, then a table for each kernel, at most 100 columns wide.

extension ScalingReport {
  /// The report as text, ending with a line feed.
  public var text: String {
    var lines = [machine.hardwareText, machine.probeText + "; " + machine.loadText].flatMap {
      Formatting.wrapped($0, width: Self.lineWidth)
    }
    lines += [
      "class \(problemClass.rawValue), medians of \(Formatting.count(repetitions, "trial"))"
        + ", all configurations taking turns"
    ]
    for kernel in kernels {
      lines.append("")
      lines += table(of: kernel)
      lines += fits.filter { $0.kernel == kernel }.map(Self.line)
    }
    lines.append("")
    lines += failures.isEmpty ? ["All results verified."] : failureDescriptions
    return lines.map { $0 + "\n" }.joined()
  }

  private static let lineWidth = 100

  /// In the order of the results.
  var kernels: [KernelName] {
    results.reduce(into: []) { kernels, result in
      if !kernels.contains(result.kernel) { kernels.append(result.kernel) }
    }
  }

  private func table(of kernel: KernelName) -> [String] {
    let rows = results.filter { $0.kernel == kernel }
    let hasBandwidth = rows.contains { $0.bandwidth != nil }
    var table = [
      [
        kernel.rawValue, "mode", "workers", "median s", "min s", "speed-up", "efficiency",
        "Karp-Flatt",
      ] + (hasBandwidth ? ["GB/s"] : []) + ["verified"]
    ]
    table += rows.map { Self.cells(of: $0, hasBandwidth: hasBandwidth) }
    let widths = table[0].indices.map { column in table.map { $0[column].count }.max() ?? 0 }
    let lines = table.map { row in
      row.indices.map { column in
        column < 2
          ? Formatting.left(row[column], widths[column])
          : Formatting.right(row[column], widths[column])
      }.joined(separator: "  ")
    }
    return [lines[0], String(repeating: "─", count: lines[0].count)] + lines.dropFirst()
  }

  private static func cells(of result: Result, hasBandwidth: Bool) -> [String] {
    var cells = [
      result.placement, result.mode.rawValue, String(result.workers),
      Formatting.seconds(result.seconds.median), Formatting.seconds(result.seconds.minimum),
      Formatting.fixed(result.speedup, 2), Formatting.fixed(result.efficiency, 3),
      Formatting.fixed(result.karpFlatt, 4),
    ]
    if hasBandwidth { cells.append(Formatting.fixed(result.bandwidth.map { $0 / 1e9 }, 1)) }
    return cells + [result.isVerified ? "yes" : "NO"]
  }

  private static func line(of fit: Fit) -> String {
    let name = "USL, \(fit.placement), \(fit.mode.rawValue): "
    switch fit.outcome {
    case .omitted(let reason):
      return name + "not fitted: " + reason
    case .fitted(let law):
      let farthest = 10_000.0
      let peak =
        law.peak.map { peak in
          peak > farthest
            ? "peak beyond \(Formatting.fixed(farthest, 0)) workers"
            : "peak at \(Formatting.fixed(peak, 1)) workers"
        } ?? "no peak"
      return name + "contention σ = \(Formatting.fixed(law.sigma, 5)), coherency κ = "
        + "\(Formatting.fixed(law.kappa, 6)), " + peak
    }
  }
}
