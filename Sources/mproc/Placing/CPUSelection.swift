// CPUs as people name them on a command line: lists and masks as taskset(1) takes them, relative and
// inverted lists as numactl(8) does, and parts of the machine.

internal import ArgumentParser
internal import ProcessorTopology

struct CPUSelection: ExpressibleByArgument {
  static let help = """
    "0-3,8" or "0-10:2"; "0x0f", a mask; "all"; "!0,1", all allowed CPUs but these; "+0-3", the first four of \
    the allowed ones; "node:1", "package:0", "l3:0-2", "core:4", parts by number as mproc topology \
    shows them.
    """

  private enum Rule {
    case list(CPUSet)
    case all
    case without(CPUSet)
    case relative(CPUSet)
    case part(String, CPUSet)
  }

  private let rule: Rule

  init?(argument: String) {
    func list(_ text: some StringProtocol) -> CPUSet? {
      let set = try? CPUSet(text)
      return set?.isEmpty ?? true ? nil : set
    }
    let parts = argument.split(separator: ":", maxSplits: 1)
    if argument == "all" {
      rule = .all
    } else if argument.hasPrefix("!"), let set = list(argument.dropFirst()) {
      rule = .without(set)
    } else if argument.hasPrefix("+"), let set = list(argument.dropFirst()) {
      rule = .relative(set)
    } else if argument.hasPrefix("0x"), let set = Self.mask(argument.dropFirst(2)) {
      rule = .list(set)
    } else if parts.count == 2, let name = Self.partName(parts[0]), let set = list(parts[1]) {
      rule = .part(name, set)
    } else if let set = list(argument) {
      rule = .list(set)
    } else {
      return nil
    }
  }

  private static func partName(_ word: Substring) -> String? {
    switch Placement.Binding(name: String(word)) {
    case .core: "core"
    case .l3: "L3"
    case .numaNode: "node"
    case .package: "package"
    case .thread, nil: nil
    }
  }

  private static func mask(_ digits: Substring) -> CPUSet? {
    var set = CPUSet()
    for (position, digit) in digits.filter({ $0 != "," }).reversed().enumerated() {
      guard let value = digit.hexDigitValue, position < 1 << 16 else { return nil }
      for bit in 0..<4 where value >> bit & 1 == 1 { set.insert(position * 4 + bit) }
    }
    return set.isEmpty ? nil : set
  }

  /// The CPUs that are meant on this machine.
  ///
  /// - Throws: A `ValidationError` where a part or a relative CPU is not there.
  func cpus(on topology: CPUTopology) throws -> CPUSet {
    switch rule {
    case .list(let set): return set
    case .all: return topology.allowed
    case .without(let set): return topology.allowed.subtracting(set)
    case .relative(let set):
      let allowed = Array(topology.allowed)
      return CPUSet(
        try set.map { position in
          guard position < allowed.count else {
            throw ValidationError("CPU +\(position): only \(allowed.count) CPUs are allowed")
          }
          return allowed[position]
        })
    case .part(let name, let numbers):
      let parts = parts(named: name, of: topology)
      return try numbers.reduce(into: CPUSet()) { result, number in
        guard let cpus = parts[number] else {
          throw ValidationError("this machine has no \(name) \(number)")
        }
        result.formUnion(cpus.intersection(topology.allowed))
      }
    }
  }

  private func parts(named name: String, of topology: CPUTopology) -> [Int: CPUSet] {
    let parts: [(Int, CPUSet)] =
      switch name {
      case "core": topology.cores.map { ($0.id, $0.cpus) }
      case "L3": topology.l3Domains.enumerated().map { ($0.offset, $0.element.cpus) }
      case "node": topology.numaNodes.map { ($0.id, $0.cpus) }
      default: topology.packages.map { ($0.id, $0.cpus) }
      }
    return Dictionary(parts) { first, _ in first }
  }
}
