// The places for workers on a machine, and the order in which each distribution gives them out.
//
// A place is a CPU of a usable core. Places come in rounds: round 0 is the first CPU of every core,
// round 1 the second of every core that has one, and so on; no place of a round is taken before all
// of the round before. (With shared cores there is one round, core after core.) After the last
// round the places are given out again from the start.

struct PlaceMap {
  /// A core with its usable CPUs, and the domains around it.
  private struct Core {
    var cpus: CPUSet
    var package: Int
    var numaNode: Int
    var l3: Int
    var l2: Int

    /// From the widest domain to the narrowest.
    var path: [Int] {
      [package, numaNode, l3, l2]
    }
  }

  private struct Place {
    var cpu: Int
    var core: Core
  }

  /// In the order of their paths, then of their lowest CPU.
  private let cores: [Core]

  init(_ topology: CPUTopology, usable: CPUSet) {
    cores = topology.cores.compactMap { core in
      let cpus = core.cpus.intersection(usable).intersection(topology.online)
      guard let lowest = cpus.lowest else { return nil }
      let l3 = topology.l3Domains.firstIndex { $0.cpus.contains(lowest) }
      // Cores without a level 3 cache: those of one NUMA node form a domain of their own.
      return Core(
        cpus: cpus, package: core.package, numaNode: core.numaNode,
        l3: l3 ?? topology.l3Domains.count + core.numaNode,
        l2: topology.l2Domains.firstIndex { $0.cpus.contains(lowest) } ?? topology.l2Domains.count)
    }.sorted { left, right in
      (left.path + [left.cpus.lowest ?? 0])
        .lexicographicallyPrecedes(right.path + [right.cpus.lowest ?? 0])
    }
  }

  var coreCount: Int {
    cores.count
  }

  /// One set for each worker; there must be a core.
  func sets(
    _ distribution: Placement.Distribution, _ binding: Placement.Binding,
    sharingCores: Bool = false, workers: Int
  ) -> [CPUSet] {
    let places = places(distribution, sharingCores: sharingCores, workers: workers)
    let masks = masks(binding)
    return places.map { place in
      binding == .thread ? [place.cpu] : masks[domain(binding, of: place.core)] ?? place.core.cpus
    }
  }
}

// MARK: - Distributions

extension PlaceMap {
  private func places(
    _ distribution: Placement.Distribution, sharingCores: Bool, workers: Int
  ) -> [Place] {
    let alone = rounds(sharingCores: false)
    let shared = rounds(sharingCores: sharingCores)
    switch distribution {
    case .compact: return cycle(shared.flatMap { $0 }, workers)
    case .perCore: return cycle(alone.flatMap { $0 }, workers)
    case .spread: return spread(workers, over: alone)
    case .perL3: return cycle(shared.flatMap { inTurn($0, by: \.l3) }, workers)
    case .perNUMANode: return cycle(shared.flatMap { inTurn($0, by: \.numaNode) }, workers)
    case .perPackage: return cycle(shared.flatMap { inTurn($0, by: \.package) }, workers)
    }
  }

  private func rounds(sharingCores: Bool) -> [[Place]] {
    if sharingCores {
      return [cores.flatMap { core in core.cpus.map { Place(cpu: $0, core: core) } }]
    }
    let width = cores.map(\.cpus.count).max() ?? 0
    return (0..<width).map { round in
      cores.compactMap { core in
        core.cpus.dropFirst(round).first { _ in true }.map { Place(cpu: $0, core: core) }
      }
    }
  }

  private func cycle(_ places: [Place], _ workers: Int) -> [Place] {
    (0..<workers).map { places[$0 % places.count] }
  }

  /// One place of each domain in turn, until all domains are used up.
  private func inTurn(_ places: [Place], by domain: KeyPath<Core, Int>) -> [Place] {
    let queues = grouped(places) { $0.core[keyPath: domain] }
    let longest = queues.map(\.count).max() ?? 0
    return (0..<longest).flatMap { turn in
      queues.compactMap { turn < $0.count ? $0[turn] : nil }
    }
  }

  /// The rounds that the workers fill, and the rest spread over the round after.
  private func spread(_ workers: Int, over rounds: [[Place]]) -> [Place] {
    var result: [Place] = []
    var round = 0
    while result.count < workers {
      let places = rounds[round % rounds.count]
      result += spread(min(workers - result.count, places.count), over: places, depth: 0)
      round += 1
    }
    return result
  }

  /// `count` of `places`, fairly shared among the domains at `depth`, in the order of places.
  private func spread(_ count: Int, over places: [Place], depth: Int) -> [Place] {
    if count == places.count { return places }
    guard depth < 4 else { return evenly(count, of: places.count).map { places[$0] } }
    let domains = grouped(places) { $0.core.path[depth] }
    let shares = Self.shares(of: count, capacities: domains.map(\.count))
    return zip(domains, shares).flatMap { spread($1, over: $0, depth: depth + 1) }
  }

  /// Shares that sum up to `count` and differ by at most one, except where a capacity is smaller.
  private static func shares(of count: Int, capacities: [Int]) -> [Int] {
    var shares = capacities.map { _ in 0 }
    var rest = count
    while rest > 0 {
      let open = shares.indices.filter { shares[$0] < capacities[$0] }
      for index in evenly(min(rest, open.count), of: open.count) { shares[open[index]] += 1 }
      rest -= min(rest, open.count)
    }
    return shares
  }
}

/// `count` of the first `total` indices at equal distances from 0 on, as OpenMP's "spread" counts.
private func evenly(_ count: Int, of total: Int) -> [Int] {
  (0..<count).map { ($0 * total + count - 1) / count }
}

// MARK: - Masks

extension PlaceMap {
  /// The usable CPUs of each domain.
  private func masks(_ binding: Placement.Binding) -> [Int: CPUSet] {
    cores.reduce(into: [:]) { masks, core in
      masks[domain(binding, of: core), default: CPUSet()].formUnion(core.cpus)
    }
  }

  private func domain(_ binding: Placement.Binding, of core: Core) -> Int {
    switch binding {
    case .thread, .core: core.cpus.lowest ?? 0
    case .l3: core.l3
    case .numaNode: core.numaNode
    case .package: core.package
    }
  }
}

/// The elements by key, the keys in the order of their first element.
private func grouped<Element>(_ elements: [Element], by key: (Element) -> Int) -> [[Element]] {
  var order: [Int: Int] = [:]
  var groups: [[Element]] = []
  for element in elements {
    if let index = order[key(element)] {
      groups[index].append(element)
    } else {
      order[key(element)] = groups.count
      groups.append([element])
    }
  }
  return groups
}
