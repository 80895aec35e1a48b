// Recorded machines, read and held against the values that hwloc reads of them. The recordings are
// not part of the package: the tests are skipped where MPROC_TOPOLOGIES, or the folder
// ../shared/topologies beside the checkout, does not lead to them.

import Foundation
import ProcessorTopology
import SystemPackage
import Testing

struct RecordedMachine: Sendable, CustomTestStringConvertible {
  var archive: URL

  var testDescription: String {
    archive.lastPathComponent
  }

  static let folder: URL = {
    if let path = ProcessInfo.processInfo.environment["MPROC_TOPOLOGIES"] {
      return URL(fileURLWithPath: path)
    }
    return URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
      .appendingPathComponent("../../../../shared/topologies").standardizedFileURL
  }()

  static let all: [RecordedMachine] = ["vm", "machines"].flatMap { name -> [RecordedMachine] in
    let files = try? FileManager.default.contentsOfDirectory(
      at: folder.appendingPathComponent(name), includingPropertiesForKeys: nil)
    return (files ?? []).filter { $0.path.hasSuffix(".tar.gz") }
      .map { RecordedMachine(archive: $0) }
      .sorted { $0.archive.path < $1.archive.path }
  }

  /// What a right reader gives. A field named in `skip` is not compared.
  struct Expected: Decodable {
    struct Node: Decodable {
      var node: Int
      var cpus: [Int]
      var memoryBytes: Int?
    }
    struct Distances: Decodable {
      var nodes: [Int]
      var matrix: [[Int]]
    }
    var name: String
    var online: [Int]
    var allowed: [Int]
    var packages: [[Int]]
    var cores: [[Int]]
    var l3: [[Int]]
    var numaNodes: [Node]
    var distances: Distances?
    var isolated: [Int]?
    var skip: [String: String]
  }

  func expected() throws -> Expected {
    let path = archive.path.dropLast(".tar.gz".count) + ".json"
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(
      Expected.self, from: Data(contentsOf: URL(fileURLWithPath: String(path))))
  }

  /// Unpacks the machine and reads it.
  func topology() throws -> CPUTopology {
    let name = try expected().name
    return try withTemporaryTree { root in
      let tar = Process()
      tar.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      tar.arguments = ["tar", "xzf", archive.path, "-C", root.string]
      try tar.run()
      tar.waitUntilExit()
      try #require(tar.terminationStatus == 0)
      return try CPUTopology(root: root.appending(name))
    }
  }
}

@Suite(
  "Recorded machines", .serialized,
  .enabled(if: !RecordedMachine.all.isEmpty, "no recordings: set MPROC_TOPOLOGIES to their folder"))
struct RecordedMachineTests {
  @Test("a recorded machine is read as hwloc reads it", arguments: RecordedMachine.all)
  func isReadAsHwlocReadsIt(machine: RecordedMachine) throws {
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
    check("isolated", topology.isolated, CPUSet(expected.isolated ?? Array(topology.isolated)))
    check("numa_nodes", topology.numaNodes.map(\.id), expected.numaNodes.map(\.node).sorted())
    for node in expected.numaNodes {
      let got = topology.numaNodes.first { $0.id == node.node }
      check("numa_nodes", got?.cpus, CPUSet(node.cpus))
      if let bytes = node.memoryBytes { check("numa_nodes", got?.memoryByteCount, bytes) }
    }
    guard let distances = expected.distances else { return }
    for (from, row) in zip(distances.nodes, distances.matrix) {
      let got = topology.numaNodes.first { $0.id == from }?.distances
      check("distances", got, Dictionary(uniqueKeysWithValues: zip(distances.nodes, row)))
    }
  }

  @Test(
    "every distribution gives usable CPUs on a recorded machine", arguments: RecordedMachine.all)
  func isPlacedOn(machine: RecordedMachine) throws {
    let topology = try machine.topology()
    let usable = topology.allowed.subtracting(topology.isolated)
    for distribution in Placement.Distribution.allCases {
      for workers in [1, 2, 3, topology.cores.count, usable.count, usable.count + 1] {
        let plan = try Placement(distribution, binding: .thread).plan(
          workers: workers, on: topology)
        #expect(plan.allSatisfy { $0.count == 1 && $0.isSubset(of: usable) })
        #expect(Set(plan).count == min(workers, usable.count))
      }
    }
  }
}
