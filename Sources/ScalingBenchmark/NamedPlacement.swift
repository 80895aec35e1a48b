// Placements as a person names them on a command line.

public import ProcessorTopology

/// A placement and the name it has in reports.
public struct NamedPlacement: Sendable, Hashable {
  public var name: String
  public var placement: Placement
  /// The CPUs of an explicit list, one for each worker in turn; nil: the placement finds them.
  public var cpus: [Int]?

  public init(name: String, placement: Placement, cpus: [Int]? = nil) {
    self.name = name
    self.placement = placement
    self.cpus = cpus
  }

  /// One worker on each of these CPUs, in this order.
  public init(cpus: [Int]) {
    self.init(
      name: "cpus:" + cpus.map(String.init).joined(separator: ","),
      placement: .explicit(cpus.map { [$0] }), cpus: cpus)
  }

  /// Spread over cores.
  public static var spread: NamedPlacement {
    NamedPlacement(name: "spread", placement: .spread)
  }

  /// Reads a list such as "spread,none,cpus:0,2-3": what follows `cpus:` is a list of CPU numbers
  /// that ends with the next name.
  public static func list(_ text: String) throws(ScalingError) -> [NamedPlacement] {
    var placements: [NamedPlacement] = []
    var cpus: [Int]?
    for item in text.split(separator: ",", omittingEmptySubsequences: false) {
      if item.hasPrefix(cpuListPrefix) {
        if let cpus { placements.append(NamedPlacement(cpus: cpus)) }
        cpus = try numbers(item.dropFirst(cpuListPrefix.count), in: text)
      } else if let open = cpus, item.first?.isNumber == true {
        cpus = try open + numbers(item, in: text)
      } else {
        if let cpus { placements.append(NamedPlacement(cpus: cpus)) }
        cpus = nil
        placements.append(try named(item, in: text))
      }
    }
    if let cpus { placements.append(NamedPlacement(cpus: cpus)) }
    return placements
  }

  private static let cpuListPrefix = "cpus:"

  private static func numbers(
    _ item: Substring, in text: String
  ) throws(ScalingError) -> [Int] {
    guard let set = try? CPUSet(item), !set.isEmpty else {
      throw malformed(text, item)
    }
    return Array(set)
  }

  private static func named(
    _ item: Substring, in text: String
  ) throws(ScalingError) -> NamedPlacement {
    switch item {
    case "none": return NamedPlacement(name: "none", placement: .none)
    case "automatic": return NamedPlacement(name: "automatic", placement: .automatic)
    default:
      guard let distribution = Placement.Distribution(name: String(item)) else {
        throw malformed(text, item)
      }
      return NamedPlacement(name: String(item), placement: Placement(distribution))
    }
  }

  private static func malformed(_ text: String, _ item: Substring) -> ScalingError {
    let names = Placement.Distribution.allCases.map(\.rawValue).joined(separator: ", ")
    return .malformed(
      option: "--placements", text: text,
      advice: "'\(item)' is none of \(names), automatic, none, or CPU numbers as in cpus:0,2-3")
  }
}
