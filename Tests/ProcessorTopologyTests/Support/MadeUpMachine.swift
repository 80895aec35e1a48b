// Machines for placement tests, numbered as Linux numbers x86 machines: the first hardware threads
// of all cores, then the second ones.

import Testing

@testable import ProcessorTopology

struct MadeUpMachine: Sendable, CustomTestStringConvertible {
  /// For each package, for each NUMA node, for each L3 cache: the number of cores.
  var cores: [[[Int]]]
  var threads = 1
  /// How many cores, from the last one back, have one thread only and are efficiency cores.
  var efficiencyCores = 0
  var hasL3 = true
  var offline: CPUSet = []
  var forbidden: CPUSet = []
  var isolated: CPUSet = []

  var testDescription: String {
    "\(cores)x\(threads)-\(efficiencyCores)e\(hasL3 ? "" : " no L3")"
      + " offline \(offline) forbidden \(forbidden) isolated \(isolated)"
  }

  var topology: CPUTopology {
    let total = cores.joined().joined().reduce(0, +)
    var cpuCount = total
    var made = [CPUTopology.Core]()
    var packages = [CPUTopology.Package]()
    var nodes = [CPUTopology.NUMANode]()
    var caches = [CPUTopology.CacheDomain]()
    var siblings: [[Int]] = (0..<total).map { [$0] }
    for _ in 1..<max(threads, 2) where threads > 1 {
      for core in 0..<(total - efficiencyCores) {
        siblings[core].append(cpuCount)
        cpuCount += 1
      }
    }
    let online = CPUSet(0..<cpuCount).subtracting(offline)
    for (packageID, package) in cores.enumerated() {
      var packageCPUs = CPUSet()
      for node in package {
        var nodeCPUs = CPUSet()
        for cache in node {
          var cacheCPUs = CPUSet()
          for _ in 0..<cache {
            let number = made.count
            let kind: CoreKind =
              efficiencyCores == 0
              ? .uniform : number < total - efficiencyCores ? .performance : .efficiency
            let cpus = CPUSet(siblings[number]).intersection(online)
            made.append(
              .init(id: number, package: packageID, numaNode: nodes.count, kind: kind, cpus: cpus))
            cacheCPUs.formUnion(cpus)
          }
          if hasL3 { caches.append(.init(level: 3, byteCount: 1 << 25, cpus: cacheCPUs)) }
          nodeCPUs.formUnion(cacheCPUs)
        }
        nodes.append(
          .init(
            id: nodes.count, cpus: nodeCPUs, memoryByteCount: 1 << 30, distances: [:],
            nearestCPUs: nodeCPUs))
        packageCPUs.formUnion(nodeCPUs)
      }
      packages.append(.init(id: packageID, cpus: packageCPUs))
    }
    made.removeAll { $0.cpus.isEmpty }
    let coreOf = Dictionary(
      uniqueKeysWithValues: made.flatMap { core in core.cpus.map { ($0, core) } })
    return CPUTopology(
      packages: packages, dies: [], numaNodes: nodes, l3Domains: caches, cores: made,
      cpus: (0..<cpuCount).map { cpu in
        .init(
          id: cpu, core: coreOf[cpu]?.id ?? -1, kind: coreOf[cpu]?.kind ?? .uniform,
          isOnline: online.contains(cpu), isIsolated: isolated.contains(cpu))
      },
      allowed: online.subtracting(forbidden), online: online, isolated: isolated)
  }

  static let laptop = MadeUpMachine(cores: [[[4]]], threads: 2)
  static let hybrid = MadeUpMachine(cores: [[[6, 8]]], threads: 2, efficiencyCores: 8)
  static let server = MadeUpMachine(
    cores: [[[4, 4], [4, 4]], [[4, 4], [4, 4]]], threads: 2)
  static let epyc7451 = MadeUpMachine(
    cores: .init(repeating: .init(repeating: [3, 3], count: 4), count: 2), threads: 2)

  static let all: [MadeUpMachine] = [
    laptop, hybrid, server, epyc7451,
    MadeUpMachine(cores: [[[1]]]),
    MadeUpMachine(cores: [[[8]]], hasL3: false),
    MadeUpMachine(cores: [[[2]], [[6]]], threads: 2),
    MadeUpMachine(cores: [[[2, 3], [5]], [[1]]], threads: 4),
    MadeUpMachine(cores: [[[4]], [[4]]], threads: 2, offline: [1, 3, 9], forbidden: [0, 4]),
    MadeUpMachine(cores: [[[4]], [[4]]], threads: 2, isolated: [2, 3, 10, 11]),
  ]
}
