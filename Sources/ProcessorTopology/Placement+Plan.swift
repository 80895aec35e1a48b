// From a wish and a machine to one CPU set a worker. Checks what the wish needs, then leaves the
// order of places to `PlaceMap`.

extension Placement {
  /// The CPU set of each worker on this machine; an empty set means "not bound".
  ///
  /// A pure function: the same arguments give the same sets. Sets of a distribution hold only CPUs
  /// that are allowed and online, of the kind asked for, and not isolated unless asked for. Workers
  /// take every core before a core takes a second one, then every hardware thread; with more
  /// workers than hardware threads the places are given out again in the same order, so any number
  /// of workers is possible where there is one CPU.
  ///
  /// - Parameters:
  ///   - workers: How many; none for zero and less.
  ///   - topology: The machine.
  /// - Throws: ``PlacementError/tooManyWorkers(requested:available:)`` where no usable CPU, or no
  ///   explicit set, is there for any worker; ``PlacementError/noSuchKind(_:)``;
  ///   ``PlacementError/unavailable(cpu:reason:)`` for a CPU of an explicit set that is offline or
  ///   forbidden, and where only isolated CPUs are left. With `bestEffort` nothing is thrown: a
  ///   kind that is not there is ignored, and without a usable CPU workers are not bound.
  ///   `automatic` and `none` throw nothing.
  public func plan(
    workers: Int, on topology: CPUTopology
  ) throws(PlacementError) -> [CPUSet] {
    guard workers > 0 else { return [] }
    let unbound = [CPUSet](repeating: CPUSet(), count: workers)
    switch rule {
    case .none:
      return unbound
    case .automatic:
      let map = PlaceMap(topology, usable: topology.allowed.subtracting(topology.isolated))
      return workers <= map.coreCount ? map.sets(.spread, .core, workers: workers) : unbound
    case .explicit(let sets):
      return try plan(sets, workers: workers, on: topology)
    case .distributed(let options):
      let usable = try usableCPUs(of: topology, options, workers: workers)
      if usable.isEmpty { return unbound }
      return PlaceMap(topology, usable: usable).sets(
        options.distribution, options.binding, sharingCores: options.sharingCores,
        workers: workers)
    }
  }

  private func plan(
    _ sets: [CPUSet], workers: Int, on topology: CPUTopology
  ) throws(PlacementError) -> [CPUSet] {
    guard !sets.isEmpty else { throw .tooManyWorkers(requested: workers, available: 0) }
    for cpu in sets.prefix(workers).reduce(CPUSet(), { $0.union($1) }) {
      if let reason = topology.reasonAgainst(cpu) { throw .unavailable(cpu: cpu, reason: reason) }
    }
    return (0..<workers).map { sets[$0 % sets.count] }
  }

  /// The CPUs that workers may be placed on; empty only with `bestEffort`.
  private func usableCPUs(
    of topology: CPUTopology, _ options: Options, workers: Int
  ) throws(PlacementError) -> CPUSet {
    var usable = topology.allowed.intersection(topology.online)
    if let kind = options.kind {
      let cores = topology.cores.filter { $0.kind == kind }
      if !cores.isEmpty {
        usable.formIntersection(cores.reduce(CPUSet()) { $0.union($1.cpus) })
      } else if !options.bestEffort {
        throw .noSuchKind(kind)
      }
    }
    let ordinary = options.includingIsolated ? usable : usable.subtracting(topology.isolated)
    if ordinary.isEmpty, !options.bestEffort {
      guard let cpu = usable.lowest else {
        throw .tooManyWorkers(requested: workers, available: 0)
      }
      throw .unavailable(cpu: cpu, reason: "it is isolated, and isolated CPUs were not asked for")
    }
    return ordinary
  }
}
