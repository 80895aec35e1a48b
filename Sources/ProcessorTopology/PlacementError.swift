// What can be wrong with a wish to run on certain CPUs.

/// A placement that this machine, or this process's share of it, cannot give.
public enum PlacementError: Error, Sendable, Hashable, CustomStringConvertible {
  /// No CPU is left for the workers: `available` CPUs or sets for `requested` workers.
  case tooManyWorkers(requested: Int, available: Int)
  /// A CPU that was named cannot be used.
  case unavailable(cpu: Int, reason: String)
  /// The kernel gave fewer CPUs than were asked for.
  case narrowed(requested: CPUSet, effective: CPUSet, reason: String)
  /// The machine has no cores of this kind.
  case noSuchKind(CoreKind)

  public var description: String {
    switch self {
    case .tooManyWorkers(let requested, let available):
      "\(requested) workers asked for, places for \(available) available"
    case .unavailable(let cpu, let reason):
      "CPU \(cpu) is not available: \(reason)"
    case .narrowed(let requested, let effective, let reason):
      "asked for CPUs \(requested), got \(effective.isEmpty ? "none" : effective.description): "
        + reason
    case .noSuchKind(let kind):
      "the machine has no \(kind.rawValue) cores"
    }
  }
}
