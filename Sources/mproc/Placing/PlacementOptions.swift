// The options that say where copies of a command go, shared by `run` and `plan`.

internal import ArgumentParser
internal import ProcessorTopology

struct PlacementOptions: ParsableArguments {
  struct Distribution: ExpressibleByArgument {
    /// nil: copies are not bound.
    var value: Placement.Distribution?

    init?(argument: String) {
      value = Placement.Distribution(name: argument)
      if value == nil, argument != "none" { return nil }
    }

    static let allValueStrings = [
      "compact", "spread", "per-core", "per-l3", "per-node", "per-package", "none",
    ]
  }

  struct Binding: ExpressibleByArgument {
    /// nil: copies are not bound.
    var value: Placement.Binding?

    init?(argument: String) {
      value = Placement.Binding(name: argument)
      if value == nil, argument != "none" { return nil }
    }

    static let allValueStrings = ["thread", "core", "l3", "node", "package", "none"]
  }

  struct Kind: ExpressibleByArgument {
    var value: CoreKind

    init?(argument: String) {
      guard let kind = CoreKind(rawValue: argument), kind != .uniform else { return nil }
      value = kind
    }

    static let allValueStrings = ["performance", "efficiency"]
  }

  @Option(
    help: ArgumentHelp(
      "Which place the next one takes. (default: spread)",
      discussion: """
        compact (close), spread (scatter), per-core, per-l3 (ccx), per-node (numa), per-package \
        (socket), or none: not bound.
        """, valueName: "distribution"))
  var distribute: Distribution?

  @Option(
    help: ArgumentHelp(
      "How wide the mask of each one is. (default: core)",
      discussion: "thread, core, l3 (ccx), node (numa), package (socket), or none: not bound.",
      valueName: "width"))
  var bind: Binding?

  @Option(
    help: ArgumentHelp(
      "Only these CPUs, isolated ones too.", discussion: CPUSelection.help, valueName: "list"))
  var cpus: CPUSelection?

  @Flag(help: "Give the hardware threads of a core to copies of their own.")
  var shareCores = false

  @Option(help: ArgumentHelp("Only performance or efficiency cores.", valueName: "kind"))
  var kind: Kind?

  @Flag(help: "Use CPUs that the kernel isolates, too.")
  var includeIsolated = false

  @Flag(help: "Go on with fewer CPUs, or unbound, where the wish cannot be met.")
  var bestEffort = false

  /// The machine as the placement is to see it.
  func restricted(_ topology: CPUTopology) throws -> CPUTopology {
    guard let cpus else { return topology }
    let wanted = try cpus.cpus(on: topology)
    if !bestEffort {
      for cpu in wanted {
        if let reason = topology.reasonAgainst(cpu) {
          throw PlacementError.unavailable(cpu: cpu, reason: reason)
        }
      }
    }
    var result = topology
    result.allowed.formIntersection(wanted)
    return result
  }

  var placement: Placement {
    if let bind, bind.value == nil { return .none }
    if let distribute, distribute.value == nil { return .none }
    return Placement(
      distribute?.value ?? .spread, binding: bind?.value ?? .core, sharingCores: shareCores,
      kind: kind?.value, includingIsolated: includeIsolated || cpus != nil, bestEffort: bestEffort)
  }

  /// The set of each copy, nil: as many copies as there are CPUs that can work at once.
  func plan(workers: Int?, on topology: CPUTopology) throws -> [CPUSet] {
    let machine = try restricted(topology)
    let usable =
      includeIsolated || cpus != nil
      ? machine.allowed : machine.allowed.subtracting(machine.isolated)
    let count = workers ?? max(1, min(usable.count, topology.quota?.cpuCount ?? .max))
    return try placement.plan(workers: count, on: machine)
  }
}

/// How many copies at most: process numbers end at four million.
let workerLimit = 1 << 22

func validate(workers: Int?) throws {
  guard (1...workerLimit).contains(workers ?? 1) else {
    throw ValidationError("--workers takes a number from 1 to \(workerLimit)")
  }
}
