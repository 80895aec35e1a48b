// What a report must say about the machine, so that its numbers can be compared with others.

public import ProcessorTopology

/// The machine and how busy it was.
public struct MachineDescription: Sendable, Hashable {
  /// As the kernel names the processor.
  public var cpuModel: String
  /// As in "6.18.5".
  public var kernelRelease: String
  public var packageCount: Int
  public var numaNodeCount: Int
  public var coreCount: Int
  public var cpuCount: Int
  /// CPUs that this process may use, quotas included.
  public var usableCPUCount: Int
  /// Of one level 3 cache; nil: none is known.
  public var l3ByteCount: Int?
  public var l3Count: Int
  /// The load averages over 1, 5 and 15 minutes, before the first trial and after the last.
  public var loadBefore: [Double]
  public var loadAfter: [Double]
  /// nil: not measured, as with one CPU.
  public var probe: CacheLineProbe?

  /// Describes this machine; takes up to ``CacheLineProbe/timeLimit`` for the probe.
  public static func current(_ topology: CPUTopology) -> MachineDescription {
    let cpuInfo = textOfFile("/proc/cpuinfo") ?? ""
    let load = currentLoad()
    return MachineDescription(
      cpuModel: cpuModel(fromCPUInfo: cpuInfo) ?? "unknown processor",
      kernelRelease: firstLine(textOfFile("/proc/sys/kernel/osrelease")) ?? "unknown",
      packageCount: topology.packages.count,
      numaNodeCount: topology.numaNodes.count,
      coreCount: topology.cores.count,
      cpuCount: topology.online.count,
      usableCPUCount: CPUTopology.usableCPUCount,
      l3ByteCount: topology.l3Domains.map(\.byteCount).max(),
      l3Count: topology.l3Domains.count,
      loadBefore: load, loadAfter: load,
      probe: CacheLineProbe.measure(on: topology))
  }

  /// The load averages; empty where they cannot be read.
  static func currentLoad() -> [Double] {
    load(fromText: textOfFile("/proc/loadavg") ?? "")
  }

  static func load(fromText text: String) -> [Double] {
    text.split(separator: " ").prefix(3).compactMap { Double($0) }
  }

  /// The processor's name in the text of /proc/cpuinfo: "model name" on x86, or what arm64 has in
  /// its place, the numbers of implementer and part.
  static func cpuModel(fromCPUInfo text: String) -> String? {
    var values: [Substring: Substring] = [:]
    for line in text.split(separator: "\n") {
      guard let colon = line.firstIndex(of: ":") else { continue }
      let key = trimmed(line[..<colon])
      if values[key] == nil { values[key] = trimmed(line[line.index(after: colon)...]) }
    }
    if let name = values["model name"] { return String(name) }
    guard let implementer = values["CPU implementer"], let part = values["CPU part"] else {
      return nil
    }
    return "implementer \(implementer) part \(part)"
  }

  private static func firstLine(_ text: String?) -> String? {
    text?.split(separator: "\n").first.map(String.init)
  }

  private static func trimmed(_ text: Substring) -> Substring {
    let start = text.drop { $0.isWhitespace }
    guard let last = start.lastIndex(where: { !$0.isWhitespace }) else { return "" }
    return start[...last]
  }
}
