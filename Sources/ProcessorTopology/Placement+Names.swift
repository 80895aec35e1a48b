// The words of other tools for distributions and bindings. Case, hyphens and underscores do not count:
// "per-l3", "perL3" and "PER_L3" are one word.

extension Placement.Distribution {
  /// The distribution of this name, in this package's words or those of OpenMP (close, scatter), Open MPI
  /// (l3cache, numa, package), Slurm (sockets, ldoms) and AMD (ccx); nil for any other word.
  public init?(name: String) {
    switch plain(name) {
    case "compact", "close": self = .compact
    case "spread", "scatter": self = .spread
    case "percore", "core", "cores": self = .perCore
    case "perl3", "l3", "l3cache", "perccx", "ccx", "perllc", "llc", "llcaches": self = .perL3
    case "pernumanode", "numanode", "pernode", "node", "pernuma", "numa", "numadomains", "ldom",
      "ldoms":
      self = .perNUMANode
    case "perpackage", "package", "persocket", "socket", "sockets": self = .perPackage
    default: return nil
    }
  }
}

extension Placement.Binding {
  /// The binding of this name, in this package's words or those of other tools; nil for any other word.
  public init?(name: String) {
    switch plain(name) {
    case "thread", "threads", "hwthread", "cpu", "pu": self = .thread
    case "core", "cores": self = .core
    case "l3", "l3cache", "ccx", "llc", "llcaches": self = .l3
    case "numanode", "node", "numa", "numadomains", "ldom", "ldoms": self = .numaNode
    case "package", "socket", "sockets": self = .package
    default: return nil
    }
  }
}

private func plain(_ name: String) -> String {
  String(name.lowercased().filter { $0 != "-" && $0 != "_" })
}
