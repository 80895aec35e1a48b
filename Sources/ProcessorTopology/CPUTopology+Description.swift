// Where a mask lies on a machine, in words, for reports.

extension CPUTopology {
  /// "package 0, node 0, L3 1, core 3": what the CPUs lie in, from the widest to the narrowest that holds
  /// them all; of several packages and nodes, all numbers.
  package func place(of cpus: CPUSet) -> String {
    guard !cpus.isEmpty else { return "nowhere" }
    func names(_ label: String, _ numbers: [Int]) -> [String] {
      numbers.isEmpty ? [] : ["\(label)\(numbers.count == 1 ? "" : "s") \(CPUSet(numbers))"]
    }
    var parts = names(
      "package", packages.filter { !$0.cpus.isDisjoint(with: cpus) }.map(\.id))
    parts += names("node", numaNodes.filter { !$0.cpus.isDisjoint(with: cpus) }.map(\.id))
    if let cache = l3Domains.firstIndex(where: { cpus.isSubset(of: $0.cpus) }) {
      parts.append("L3 \(cache)")
    }
    if let core = cores.first(where: { cpus.isSubset(of: $0.cpus) }) {
      parts.append("core \(core.id)")
    }
    return parts.joined(separator: ", ")
  }
}
