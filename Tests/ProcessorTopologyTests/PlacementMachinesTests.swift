// What holds of every plan, on recorded machines and on random ones.

import Foundation
import Testing

@testable import ProcessorTopology

/// A machine to place workers on.
struct PlacementMachine: Sendable, CustomTestStringConvertible {
  var testDescription: String
  var load: @Sendable () throws -> CPUTopology

  static let own = RecordedMachine.own.map { recorded($0) } + random
  static let others = RecordedMachine.others.map { recorded($0) }

  private static func recorded(_ machine: RecordedMachine) -> PlacementMachine {
    PlacementMachine(testDescription: machine.name) { try machine.topology() }
  }

  private static let random = (1...30 as ClosedRange<UInt64>).map { seed in
    var random = SeededGenerator(seed: seed)
    var cores: [[[Int]]] = []
    for _ in 0..<Int.random(in: 1...3, using: &random) {
      var package: [[Int]] = []
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        package.append(
          (0..<Int.random(in: 1...3, using: &random)).map { _ in
            Int.random(in: 1...6, using: &random)
          })
      }
      cores.append(package)
    }
    var machine = MadeUpMachine(
      cores: cores, threads: [1, 2, 4].randomElement(using: &random) ?? 1,
      hasL3: Int.random(in: 0..<4, using: &random) > 0)
    let total = cores.joined().joined().reduce(0, +)
    func few() -> CPUSet {
      CPUSet((0..<total / 4).map { _ in Int.random(in: 1..<max(total, 2), using: &random) })
    }
    (machine.offline, machine.forbidden, machine.isolated) = (few(), few(), few())
    let made = machine
    return PlacementMachine(testDescription: "seed \(seed): \(made.testDescription)") {
      made.topology
    }
  }
}

/// A usable core with the domains around it, found without the help of what is tested.
private struct UsableCore {
  var cpus: CPUSet
  /// Package, node, caches of level 3 and 2: those of one parent are siblings.
  var path: [Int]
}

private func usableCores(_ topology: CPUTopology) -> [UsableCore] {
  let usable = topology.allowed.intersection(topology.online).subtracting(topology.isolated)
  return topology.cores.compactMap { core in
    let cpus = core.cpus.intersection(usable)
    guard let first = cpus.lowest else { return nil }
    let caches = [topology.l3Domains, topology.l2Domains].map { domains in
      domains.firstIndex { $0.cpus.contains(first) } ?? -1
    }
    return UsableCore(cpus: cpus, path: [core.package, core.numaNode] + caches)
  }
}

private func workerCounts(_ cores: [UsableCore]) -> [Int] {
  let threads = cores.reduce(0) { $0 + $1.cpus.count }
  let counts = [
    1, 2, 3, cores.count / 2, cores.count - 1, cores.count, cores.count + 1, threads, threads + 1,
    2 * threads + 3,
  ]
  return Set(counts.filter { $0 > 0 }).sorted()
}

@Suite("Plans on all machines")
struct PlacementMachinesTests {
  @Test("plans keep their promises", arguments: PlacementMachine.own)
  func own(machine: PlacementMachine) throws {
    try check(machine)
  }

  @Test(
    "plans keep their promises on any other machine", RecordedMachineTests.hasOthers,
    arguments: PlacementMachine.others)
  func others(machine: PlacementMachine) throws {
    try check(machine)
  }

  private func check(_ machine: PlacementMachine) throws {
    let topology = try machine.load()
    let cores = usableCores(topology)
    guard !cores.isEmpty else {
      #expect(throws: PlacementError.self) { try Placement.spread.plan(workers: 1, on: topology) }
      return
    }
    for workers in workerCounts(cores) {
      for distribution in Placement.Distribution.allCases {
        let threads = try plan(Placement(distribution, binding: .thread), workers, topology)
        checkUsable(threads, cores)
        checkCoresFirst(threads, cores)
        checkBindings(distribution, workers, topology, threads)
      }
      if workers <= cores.count {
        try checkBalanced(workers, topology, cores)
        try checkContiguous(workers, topology, cores)
      }
      try checkAutomatic(workers, topology, cores)
    }
  }

  /// The plan, made twice: the same input gives the same answer.
  private func plan(
    _ placement: Placement, _ workers: Int, _ topology: CPUTopology
  ) throws -> [CPUSet] {
    let plan = try placement.plan(workers: workers, on: topology)
    #expect(try plan == placement.plan(workers: workers, on: topology))
    #expect(plan.count == workers)
    return plan
  }

  private func checkUsable(_ plan: [CPUSet], _ cores: [UsableCore]) {
    let usable = cores.reduce(CPUSet()) { $0.union($1.cpus) }
    #expect(plan.allSatisfy { $0.count == 1 && $0.isSubset(of: usable) })
  }

  /// Every core before a core takes a second worker, every thread before one takes two, and after that
  /// again from the start.
  private func checkCoresFirst(_ plan: [CPUSet], _ cores: [UsableCore]) {
    let threads = cores.reduce(0) { $0 + $1.cpus.count }
    #expect(Set(plan.prefix(threads)).count == min(plan.count, threads))
    let perThread = Dictionary(grouping: plan) { $0 }.mapValues(\.count)
    #expect(perThread.values.max() == (plan.count + threads - 1) / threads)
    let used = cores.map { core in plan.prefix(cores.count).count { $0.isSubset(of: core.cpus) } }
    #expect(used.allSatisfy { $0 <= 1 })
  }

  /// A wider mask surrounds the thread and is usable; masks of cores do not overlap while there are enough.
  private func checkBindings(
    _ distribution: Placement.Distribution, _ workers: Int, _ topology: CPUTopology,
    _ threads: [CPUSet]
  ) {
    let cores = usableCores(topology)
    let usable = cores.reduce(CPUSet()) { $0.union($1.cpus) }
    for binding in Placement.Binding.allCases where binding != .thread {
      let plan = try? Placement(distribution, binding: binding)
        .plan(workers: workers, on: topology)
      #expect(plan?.allSatisfy { $0.isSubset(of: usable) } == true)
      #expect(zip(plan ?? [], threads).allSatisfy { $1.isSubset(of: $0) })
      if binding == .core, workers <= cores.count, let plan {
        #expect(plan.reduce(CPUSet()) { $0.union($1) }.count == plan.reduce(0) { $0 + $1.count })
      }
    }
  }

  /// Spread: siblings differ by at most one worker, except where one is full.
  private func checkBalanced(
    _ workers: Int, _ topology: CPUTopology, _ cores: [UsableCore]
  ) throws {
    let plan = try Placement.spread.plan(workers: workers, on: topology)
    for depth in 0..<4 {
      for (_, siblings) in Dictionary(grouping: cores, by: { Array($0.path.prefix(depth)) }) {
        let domains = Dictionary(grouping: siblings) { $0.path[depth] }.values.map { domain in
          (
            workers: plan.count { set in domain.contains { $0.cpus == set } },
            capacity: domain.count
          )
        }
        let most = domains.map(\.workers).max() ?? 0
        #expect(domains.allSatisfy { $0.workers >= min(most - 1, $0.capacity) })
      }
    }
  }

  /// Compact: at each level at most one domain is begun and not full, and no domain is left and entered
  /// again.
  private func checkContiguous(
    _ workers: Int, _ topology: CPUTopology, _ cores: [UsableCore]
  ) throws {
    let plan = try Placement.compact.plan(workers: workers, on: topology)
    let paths = try plan.map { set in try #require(cores.first { $0.cpus == set }).path }
    for depth in 1...4 {
      let capacity = Dictionary(grouping: cores) { Array($0.path.prefix(depth)) }.mapValues(\.count)
      let visits = paths.map { Array($0.prefix(depth)) }
      let filled = Dictionary(grouping: visits) { $0 }.mapValues(\.count)
      #expect(filled.count { $1 < capacity[$0] ?? 0 } <= 1)
      let changes = zip(visits, visits.dropFirst()).count { $0 != $1 }
      #expect(changes == filled.count - 1)
    }
  }

  private func checkAutomatic(
    _ workers: Int, _ topology: CPUTopology, _ cores: [UsableCore]
  ) throws {
    let automatic = try Placement.automatic.plan(workers: workers, on: topology)
    if workers <= cores.count {
      #expect(try automatic == Placement.spread.plan(workers: workers, on: topology))
    } else {
      #expect(automatic.allSatisfy { $0.isEmpty })
    }
  }
}

@Suite("Names of placements")
struct PlacementNameTests {
  @Test("words of other tools name the same distributions and bindings")
  func aliases() {
    let distributions: [(Placement.Distribution, [String])] = [
      (.compact, ["compact", "close", "Compact"]), (.spread, ["spread", "scatter"]),
      (.perCore, ["per-core", "perCore", "cores"]),
      (.perL3, ["perL3", "per-l3", "per_ccx", "ccx", "llc", "l3cache"]),
      (.perNUMANode, ["perNUMANode", "per-node", "per-numa", "numa", "ldoms"]),
      (.perPackage, ["perPackage", "per-package", "per-socket", "socket"]),
    ]
    for (distribution, names) in distributions {
      for name in names { #expect(Placement.Distribution(name: name) == distribution) }
    }
    let bindings: [(Placement.Binding, [String])] = [
      (.thread, ["thread", "hwthread", "pu"]), (.core, ["core"]), (.l3, ["l3", "ccx", "llc"]),
      (.numaNode, ["numaNode", "numa-node", "node", "numa", "ldom"]),
      (.package, ["package", "socket"]),
    ]
    for (binding, names) in bindings {
      for name in names { #expect(Placement.Binding(name: name) == binding) }
    }
    for word in ["", "none", "l4", "spred"] {
      #expect(Placement.Distribution(name: word) == nil)
      #expect(Placement.Binding(name: word) == nil)
    }
    for distribution in Placement.Distribution.allCases {
      #expect(Placement.Distribution(name: distribution.rawValue) == distribution)
    }
    for binding in Placement.Binding.allCases {
      #expect(Placement.Binding(name: binding.rawValue) == binding)
    }
  }
}
