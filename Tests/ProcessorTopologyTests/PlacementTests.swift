// Plans for made-up machines: known answers, and properties that hold for every machine, placement
// and number of workers.

import Testing

@testable import ProcessorTopology

struct PlanCase: Sendable, CustomTestStringConvertible {
  var machine: MadeUpMachine
  var placement: Placement
  var expected: [CPUSet]

  init(_ machine: MadeUpMachine, _ placement: Placement, _ expected: [CPUSet]) {
    self.machine = machine
    self.placement = placement
    self.expected = expected
  }

  var testDescription: String {
    "\(machine.testDescription): \(placement.rule), \(expected.count) workers"
  }

  static let known: [PlanCase] = [
    // hwloc-distrib 4 --single on this machine.
    PlanCase(.epyc7451, Placement(.spread, binding: .thread), [[0], [12], [24], [36]]),
    // libgomp's OMP_PROC_BIND=spread with three threads on eight cores.
    PlanCase(
      MadeUpMachine(cores: [[[8]]]), Placement(.spread, binding: .thread), [[0], [3], [6]]),
    PlanCase(.laptop, .compact, ["0,4", "1,5", "2,6", "3,7", "0,4"]),
    PlanCase(.laptop, Placement(.compact, binding: .thread), [[0], [1], [2], [3], [4], [5]]),
    PlanCase(
      .laptop, Placement(.compact, binding: .thread, sharingCores: true), [[0], [4], [1], [5]]),
    PlanCase(.laptop, Placement(.compact, sharingCores: true), ["0,4", "0,4", "1,5"]),
    PlanCase(
      .laptop, Placement(.perCore, binding: .thread, sharingCores: true),
      [[0], [1], [2], [3], [4], [5], [6], [7], [0]]),
    PlanCase(.hybrid, Placement(.compact, kind: .efficiency), [[6], [7], [8]]),
    PlanCase(.hybrid, Placement(.spread, kind: .performance), ["0,14", "3,17"]),
    PlanCase(
      .hybrid, Placement(.perL3, binding: .l3), ["0-5,14-19", "6-13", "0-5,14-19"]),
    PlanCase(.server, .perPackage, ["0,32", "16,48", "1,33", "17,49"]),
    PlanCase(.server, .perNUMANode, ["0,32", "8,40", "16,48", "24,56", "1,33"]),
    PlanCase(
      .server, Placement(.perNUMANode, binding: .numaNode),
      ["0-7,32-39", "8-15,40-47", "16-23,48-55", "24-31,56-63"]),
    PlanCase(.server, Placement(.spread, binding: .package), ["0-15,32-47", "16-31,48-63"]),
    // A package of two cores and one of six: the small one fills up, the large one takes the rest.
    PlanCase(
      MadeUpMachine(cores: [[[2]], [[6]]]), .spread, [[0], [1], [2], [4], [5], [7]].map { $0 }),
    // No level 3 cache: the node stands in.
    PlanCase(
      MadeUpMachine(cores: [[[2]], [[2]]], hasL3: false), Placement(.perL3, binding: .l3),
      ["0,1", "2,3"]),
    PlanCase(.laptop, .automatic, ["0,4", "1,5", "2,6", "3,7"]),
    PlanCase(.laptop, .automatic, [[], [], [], [], []]),
    PlanCase(.laptop, .none, [[], []]),
    PlanCase(.laptop, .unbound, [[]]),
    PlanCase(.laptop, .explicit(["0-3", [7]]), ["0-3", [7], "0-3"]),
    PlanCase(.laptop, .explicit([[], [7]]), [[], [7]]),
  ]
}

/// Every distribution and binding on one machine, with numbers of workers around its sizes.
struct PropertyCase: Sendable, CustomTestStringConvertible {
  var machine: MadeUpMachine
  var distribution: Placement.Distribution

  var testDescription: String {
    "\(distribution) on \(machine.testDescription)"
  }

  static let all = MadeUpMachine.all.flatMap { machine in
    Placement.Distribution.allCases.map { PropertyCase(machine: machine, distribution: $0) }
  }
}

private func workerCounts(_ topology: CPUTopology) -> [Int] {
  [1, 2, 3, topology.cores.count, topology.online.count, topology.online.count + 1]
}

/// How many of the sets lie in each of the groups.
private func counts(_ sets: [CPUSet], in groups: [CPUSet]) -> [Int] {
  groups.map { group in sets.count { !$0.isDisjoint(with: group) } }
}

@Suite("Placement")
struct PlacementTests {
  @Test("known machines get known plans", arguments: PlanCase.known)
  func knownPlans(test: PlanCase) throws {
    let plan = try test.placement.plan(workers: test.expected.count, on: test.machine.topology)
    #expect(plan == test.expected)
  }

  @Test("every mask is allowed, online, not isolated and not empty", arguments: PropertyCase.all)
  func onlyUsableCPUs(test: PropertyCase) throws {
    let topology = test.machine.topology
    let usable = topology.allowed.intersection(topology.online).subtracting(topology.isolated)
    for binding in Placement.Binding.allCases {
      for sharingCores in [false, true] {
        let placement = Placement(test.distribution, binding: binding, sharingCores: sharingCores)
        for workers in workerCounts(topology) {
          let plan = try placement.plan(workers: workers, on: topology)
          #expect(plan.count == workers)
          #expect(plan.allSatisfy { !$0.isEmpty && $0.isSubset(of: usable) })
          #expect(try plan == placement.plan(workers: workers, on: topology))
        }
      }
    }
  }

  @Test(
    "no core, and then no hardware thread, has two workers while another has none",
    arguments: PropertyCase.all)
  func coresBeforeThreads(test: PropertyCase) throws {
    let topology = test.machine.topology
    let usable = topology.allowed.subtracting(topology.isolated)
    let cores = topology.cores.map { $0.cpus.intersection(usable) }.filter { !$0.isEmpty }
    for workers in 1...(2 * usable.count + 1) {
      let plan = try Placement(test.distribution, binding: .thread)
        .plan(workers: workers, on: topology)
      let perThread = counts(plan, in: usable.map { [$0] })
      #expect(perThread.max() == (workers + usable.count - 1) / usable.count)
      #expect(perThread.min() == workers / usable.count)
      if workers <= cores.count { #expect(counts(plan, in: cores).max() == 1) }
      if (cores.count...usable.count).contains(workers) {
        #expect(counts(plan, in: cores).min() ?? 0 >= 1)
      }
    }
  }

  @Test("masks of cores are disjoint while there are enough cores", arguments: PropertyCase.all)
  func disjointCores(test: PropertyCase) throws {
    let topology = test.machine.topology
    let usable = topology.allowed.subtracting(topology.isolated)
    let coreCount = topology.cores.count { !$0.cpus.isDisjoint(with: usable) }
    for workers in 1...coreCount {
      let plan = try Placement(test.distribution).plan(workers: workers, on: topology)
      #expect(plan.reduce(0) { $0 + $1.count } == plan.reduce(CPUSet()) { $0.union($1) }.count)
    }
  }

  @Test(
    "spread workers are balanced over packages, nodes, caches and cores",
    arguments: [MadeUpMachine.server, .epyc7451, .laptop])
  func spreadIsBalanced(machine: MadeUpMachine) throws {
    let topology = machine.topology
    let levels = [
      topology.packages.map(\.cpus), topology.numaNodes.map(\.cpus), topology.l3Domains.map(\.cpus),
    ]
    for workers in 1...topology.cores.count {
      let plan = try Placement.spread.plan(workers: workers, on: topology)
      for groups in levels {
        let counts = counts(plan, in: groups)
        #expect((counts.max() ?? 0) - (counts.min() ?? 0) <= 1)
      }
    }
  }

  @Test(
    "compact workers open no new cache, node or package while the current one has room",
    arguments: [MadeUpMachine.server, .epyc7451, .hybrid])
  func compactFillsUp(machine: MadeUpMachine) throws {
    let topology = machine.topology
    for workers in 1...topology.cores.count {
      let plan = try Placement.compact.plan(workers: workers, on: topology)
      for groups in [topology.packages.map(\.cpus), topology.l3Domains.map(\.cpus)] {
        let filled = groups.map { group in
          (
            workers: counts(plan, in: [group])[0],
            cores: topology.cores.count { $0.cpus.isSubset(of: group) }
          )
        }
        #expect(filled.count { $0.workers > 0 && $0.workers < $0.cores } <= 1)
      }
    }
  }

  @Test("one worker a domain means one in each before any has two")
  func onePerDomain() throws {
    let topology = MadeUpMachine.epyc7451.topology
    let cases: [(Placement, [CPUSet])] = [
      (.perL3, topology.l3Domains.map(\.cpus)), (.perNUMANode, topology.numaNodes.map(\.cpus)),
      (.perPackage, topology.packages.map(\.cpus)),
    ]
    for (placement, groups) in cases {
      let once = try placement.plan(workers: groups.count, on: topology)
      #expect(counts(once, in: groups) == groups.map { _ in 1 })
      let twice = try placement.plan(workers: 2 * groups.count, on: topology)
      #expect(counts(twice, in: groups) == groups.map { _ in 2 })
    }
  }

  @Test("no workers, and fewer, are an empty plan", arguments: [0, -1, .min])
  func noWorkers(workers: Int) throws {
    for placement in [Placement.automatic, .none, .compact, .explicit([]), .explicit([[99]])] {
      #expect(try placement.plan(workers: workers, on: MadeUpMachine.laptop.topology).isEmpty)
    }
  }
}

@Suite("Placements that cannot be had")
struct PlacementErrorTests {
  private let machine = MadeUpMachine(
    cores: [[[8]]], offline: [3], forbidden: [5], isolated: [6, 7])

  @Test(
    "an explicit CPU that cannot be used is an error that names it and says why",
    arguments: [(3, "offline"), (5, "forbids"), (64, "no such CPU")] as [(Int, String)])
  func explicit(cpu: Int, why: String) throws {
    let error = #expect(throws: PlacementError.self) {
      try Placement.explicit([[0], [1, cpu]]).plan(workers: 2, on: machine.topology)
    }
    guard case .unavailable(cpu, let reason) = error else {
      Issue.record("another error: \(String(describing: error))")
      return
    }
    #expect(reason.contains(why))
    #expect(error?.description.contains("CPU \(cpu)") == true)
    // A set that no worker uses does no harm.
    #expect(
      try Placement.explicit([[0], [1, cpu]]).plan(workers: 1, on: machine.topology) == [[0]])
  }

  @Test("explicit sets may hold isolated CPUs, distributions hold them when asked to")
  func isolated() throws {
    let topology = machine.topology
    #expect(try Placement.explicit([[6]]).plan(workers: 1, on: topology) == [[6]])
    #expect(try Placement(.compact).plan(workers: 6, on: topology).allSatisfy { !$0.contains(6) })
    let all = try Placement(.compact, includingIsolated: true).plan(workers: 6, on: topology)
    #expect(all == [[0], [1], [2], [4], [6], [7]])
  }

  @Test("where only isolated CPUs are left, one is named; with best effort workers run unbound")
  func onlyIsolated() throws {
    var topology = machine.topology
    topology.allowed = [6, 7]
    let error = #expect(throws: PlacementError.self) {
      try Placement.spread.plan(workers: 2, on: topology)
    }
    guard case .unavailable(6, let reason) = error else {
      Issue.record("another error: \(String(describing: error))")
      return
    }
    #expect(reason.contains("isolated"))
    #expect(try Placement(.spread, bestEffort: true).plan(workers: 2, on: topology) == [[], []])
    #expect(try Placement.automatic.plan(workers: 2, on: topology) == [[], []])
  }

  @Test("a kind of core that the machine lacks is an error; with best effort it is ignored")
  func missingKind() throws {
    let topology = MadeUpMachine.laptop.topology
    #expect(throws: PlacementError.noSuchKind(.efficiency)) {
      try Placement(.spread, kind: .efficiency).plan(workers: 1, on: topology)
    }
    let relaxed = Placement(.compact, kind: .efficiency, bestEffort: true)
    #expect(try relaxed.plan(workers: 1, on: topology) == ["0,4"])
  }

  @Test("without any usable CPU there is no place; automatic then binds nobody")
  func nothingUsable() throws {
    var topology = MadeUpMachine.laptop.topology
    topology.allowed = []
    let nothing = PlacementError.tooManyWorkers(requested: 3, available: 0)
    #expect(throws: nothing) { try Placement.compact.plan(workers: 3, on: topology) }
    #expect(throws: nothing) { try Placement.explicit([]).plan(workers: 3, on: topology) }
    #expect(try Placement(.compact, bestEffort: true).plan(workers: 1, on: topology) == [[]])
    #expect(try Placement.automatic.plan(workers: 1, on: topology) == [[]])
  }
}
