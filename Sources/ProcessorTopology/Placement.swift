// Which CPUs each worker of a pool is bound to: a wish as a value. Turning it into CPU sets for a
// machine is the pure function `plan`; applying them is the business of whoever starts workers.

/// Where workers go and how tightly they are bound.
///
/// Two choices, made apart as in MPI: the distribution says which worker goes where, the binding
/// how wide its mask is. "One worker an L3 cache, free to move inside it" is
/// `Placement(.perL3, binding: .l3)`.
public struct Placement: Sendable, Hashable {
  /// Which place the next worker takes. Places are counted in cores, in the order of package, NUMA
  /// node, level 3 cache, level 2 cache where cores share one, core.
  public enum Distribution: String, Sendable, Hashable, CaseIterable {
    /// Next to each other (OpenMP's "close"): no new core, cache, node or package while the current
    /// one has room.
    case compact
    /// As far apart as the number of workers allows (OpenMP's "spread"): the numbers of workers in
    /// two packages, and in two nodes or caches (of level 3 and 2) of one parent, differ by at most one as far as
    /// their sizes allow. Neighbouring workers are neighbours on the machine.
    case spread
    /// One on each core in turn.
    case perCore
    /// One in each level 3 cache in turn; where CPUs have none, their NUMA node stands in for it.
    case perL3
    /// One in each NUMA node in turn.
    case perNUMANode
    /// One in each package in turn.
    case perPackage
  }

  /// How wide a worker's mask is: its place, or all usable CPUs of what surrounds it.
  public enum Binding: String, Sendable, Hashable, CaseIterable {
    /// One CPU.
    case thread
    /// The hardware threads of a core.
    case core
    /// What shares a level 3 cache; where the CPU has none, what its NUMA node has without one.
    case l3
    /// A NUMA node.
    case numaNode
    /// A package.
    case package
  }

  /// The wishes of the full initializer.
  struct Options: Sendable, Hashable {
    var distribution: Distribution
    var binding: Binding
    var sharingCores: Bool
    var kind: CoreKind?
    var includingIsolated: Bool
    var bestEffort: Bool
  }

  enum Rule: Sendable, Hashable {
    case none
    case automatic
    case explicit([CPUSet])
    case distributed(Options)
  }

  let rule: Rule

  private init(rule: Rule) {
    self.rule = rule
  }

  /// A placement of workers on the CPUs that the process may use.
  ///
  /// - Parameters:
  ///   - distribution: Which place the next worker takes.
  ///   - binding: How wide its mask is.
  ///   - sharingCores: Whether workers take the hardware threads of a core as places in their own
  ///     right. Otherwise a second worker comes to a core only when every core has one. `.spread`
  ///     and `.perCore` never share a core sooner.
  ///   - kind: Only cores of this kind; nil: all.
  ///   - includingIsolated: Whether CPUs that the kernel isolates (isolcpus) are used.
  ///   - bestEffort: Whether workers run unbound, or on fewer CPUs, where the wish cannot be met,
  ///     instead of failing.
  public init(
    _ distribution: Distribution, binding: Binding = .core, sharingCores: Bool = false,
    kind: CoreKind? = nil, includingIsolated: Bool = false, bestEffort: Bool = false
  ) {
    rule = .distributed(
      Options(
        distribution: distribution, binding: binding, sharingCores: sharingCores, kind: kind,
        includingIsolated: includingIsolated, bestEffort: bestEffort))
  }

  /// Whether a mask that the kernel narrowed is accepted; else it is an error.
  package var acceptsNarrowing: Bool {
    switch rule {
    case .none: true
    case .automatic, .explicit: false
    case .distributed(let options): options.bestEffort
    }
  }
}

// MARK: - Ready-made placements

extension Placement {
  /// Spread over cores while there are at most as many workers as usable physical cores, else none.
  public static var automatic: Placement {
    Placement(rule: .automatic)
  }

  /// Workers are not bound.
  public static var none: Placement {
    Placement(rule: .none)
  }

  /// The same as ``none``, where an `Optional<Placement>` would take that name.
  public static var unbound: Placement {
    none
  }

  /// One set for each worker, reused in turn when there are more workers; an empty set means "not
  /// bound".
  public static func explicit(_ sets: [CPUSet]) -> Placement {
    Placement(rule: .explicit(sets))
  }

  /// ``Distribution/compact``, bound to cores.
  public static var compact: Placement {
    Placement(.compact)
  }

  /// ``Distribution/spread``, bound to cores.
  public static var spread: Placement {
    Placement(.spread)
  }

  /// ``Distribution/perCore``, bound to cores.
  public static var perCore: Placement {
    Placement(.perCore)
  }

  /// ``Distribution/perL3``, bound to cores.
  public static var perL3: Placement {
    Placement(.perL3)
  }

  /// ``Distribution/perNUMANode``, bound to cores.
  public static var perNUMANode: Placement {
    Placement(.perNUMANode)
  }

  /// ``Distribution/perPackage``, bound to cores.
  public static var perPackage: Placement {
    Placement(.perPackage)
  }
}
