// The machine in words, for the head of a report and the foot of a plot.

extension MachineDescription {
  /// Processor, topology and kernel on one line.
  var hardwareText: String {
    var parts = [
      cpuModel, Formatting.count(packageCount, "package"), Formatting.count(coreCount, "core"),
      Formatting.count(cpuCount, "CPU"),
    ]
    if usableCPUCount != cpuCount { parts.append("\(usableCPUCount) usable") }
    parts.append(Formatting.count(numaNodeCount, "NUMA node"))
    if let l3ByteCount {
      parts.append("L3 \(l3Count > 1 ? "\(l3Count) × " : "")\(Formatting.bytes(l3ByteCount))")
    }
    parts.append("Linux \(kernelRelease)")
    return parts.joined(separator: ", ")
  }

  /// The one-minute load before and after.
  var loadText: String {
    "load \(Formatting.fixed(loadBefore.first, 2)) before, "
      + "\(Formatting.fixed(loadAfter.first, 2)) after"
  }

  var probeText: String {
    guard let probe else { return "cache-line round trip not measured" }
    let cpus = probe.cpus.map(String.init).joined(separator: " and ")
    return "cache-line round trip of CPUs \(cpus): "
      + "\(Formatting.fixed(probe.nanoseconds, 0)) ns (\(probe.isNear ? "near" : "far"))"
  }
}
