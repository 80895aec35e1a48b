// Recorded machines, read and held against the values that hwloc reads of them. Those of Fixtures/vm come
// with the package. More are not part of it: their tests are skipped where MPROC_TOPOLOGIES, or the folder
// ../shared/topologies beside the checkout, does not lead to them.

import ProcessorTopology
import Testing

@Suite("Recorded machines")
struct RecordedMachineTests {
  static let hasOthers: ConditionTrait = .enabled(
    if: !RecordedMachine.others.isEmpty, "no more recordings: set MPROC_TOPOLOGIES to their folder")

  @Test("a recorded machine is read as hwloc reads it", arguments: RecordedMachine.own)
  func ownMachine(machine: RecordedMachine) throws {
    try checkReading(of: machine)
  }

  @Test(
    "any other machine is read as hwloc reads it", hasOthers, arguments: RecordedMachine.others)
  func otherMachine(machine: RecordedMachine) throws {
    try checkReading(of: machine)
  }

  private func checkReading(of machine: RecordedMachine) throws {
    let expected = try machine.expected()
    let topology = try machine.topology()
    func check<Value: Equatable>(_ field: String, _ got: Value, _ want: Value) {
      if expected.skip[field] == nil { #expect(got == want, "\(field)") }
    }
    func sets(_ groups: [[Int]]) -> Set<CPUSet> {
      Set(groups.map { CPUSet($0) })
    }
    check("online", topology.online, CPUSet(expected.online))
    check("allowed", topology.allowed, CPUSet(expected.allowed))
    check("packages", Set(topology.packages.map(\.cpus)), sets(expected.packages))
    check("cores", Set(topology.cores.map(\.cpus)), sets(expected.cores))
    check("l3", Set(topology.l3Domains.map(\.cpus)), sets(expected.l3))
    check("l2", Set(topology.l2Domains.map(\.cpus)), sets(expected.l2))
    // hwloc names no dies where they are the packages.
    let dies = expected.dies.isEmpty ? expected.packages : expected.dies
    check("dies", Set(topology.dies.map(\.cpus)), sets(dies))
    if expected.skip["numa_nodes"] == nil {
      check("allowed_nodes", topology.allowedNodes, expected.allowedNodes.sorted())
    }
    check("isolated", topology.isolated, CPUSet(expected.isolated ?? Array(topology.isolated)))
    check("nohz_full", topology.tickless, CPUSet(expected.nohzFull ?? Array(topology.tickless)))
    // hwloc calls "possible" what the folders show, the kernel more.
    #expect(topology.possible.isSuperset(of: CPUSet(expected.possible)))
    let limit = topology.quota.map { [$0.quotaMicroseconds, $0.periodMicroseconds] }
    #expect(limit == (expected.cpuMax?.first == .some(nil) ? nil : expected.cpuMax))
    checkNodes(expected, topology)
  }

  private func checkNodes(_ expected: RecordedMachine.Expected, _ topology: CPUTopology) {
    guard expected.skip["numa_nodes"] == nil else { return }
    #expect(topology.numaNodes.map(\.id) == expected.numaNodes.map(\.node).sorted())
    for node in expected.numaNodes {
      let got = topology.numaNodes.first { $0.id == node.node }
      #expect(got?.cpus == CPUSet(node.cpus))
      if let bytes = node.memoryBytes { #expect(got?.memoryByteCount == bytes) }
      // A node with neither CPUs nor memory is near to nothing.
      if let near = node.localCpus, node.memoryBytes != 0 {
        #expect(got?.nearestCPUs == CPUSet(near))
      }
    }
    guard let distances = expected.distances, expected.skip["distances"] == nil else { return }
    for (from, row) in zip(distances.nodes, distances.matrix) {
      let got = topology.numaNodes.first { $0.id == from }?.distances
      #expect(got == Dictionary(uniqueKeysWithValues: zip(distances.nodes, row)))
    }
  }
}
