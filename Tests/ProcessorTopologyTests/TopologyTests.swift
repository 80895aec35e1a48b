// Reading topologies: small made-up trees for single rules, this machine, and recorded machines.

import Foundation
import SystemPackage
import Testing

@testable import ProcessorTopology

@Suite("Topology")
struct TopologyTests {
  private let cpu = "sys/devices/system/cpu"

  @Test("a machine of which only the online CPUs are known is one package, one node, plain cores")
  func bareMachine() throws {
    let topology = try CPUTopology(files: [
      "\(cpu)/online": "0-1,3\n", "\(cpu)/present": "0-3\n",
      "proc/meminfo": "MemTotal:       2048 kB\nMemFree: 1 kB\n",
    ])
    #expect(topology.packages == [.init(id: 0, cpus: "0,1,3")])
    #expect(topology.numaNodes.map(\.id) == [0])
    #expect(topology.numaNodes.first?.memoryByteCount == 2048 << 10)
    #expect(topology.cores.map(\.cpus) == [[0], [1], [3]])
    #expect(topology.l3Domains.isEmpty)
    #expect(topology.allowed == "0,1,3")
    #expect(
      topology[cpu: 2] == .init(id: 2, core: -1, kind: .uniform, isOnline: false, isIsolated: false)
    )
    #expect(topology[cpu: 3]?.core == 2)
    #expect(topology[cpu: 4] == nil)
    #expect(topology[cpu: -1] == nil)
  }

  @Test("masks count before lists, offline CPUs are cut off, NUL and (null) are empty")
  func oddFiles() throws {
    let topology = try CPUTopology(files: [
      "\(cpu)/online": "0-1,32\0", "\(cpu)/isolated": "  (null)\n",
      "\(cpu)/cpu0/topology/thread_siblings": "00000001,00000001\n",
      "\(cpu)/cpu0/topology/thread_siblings_list": "0-1\n",
      "\(cpu)/cpu1/topology/thread_siblings": "f0,0000000a\n",
      "\(cpu)/cpu0/topology/physical_package_id": "-1\n",
      "\(cpu)/cpu0/cache/index0/level": "3", "\(cpu)/cpu0/cache/index0/type": "Unified",
      "\(cpu)/cpu0/cache/index0/size": "32768K", "\(cpu)/cpu0/cache/index0/shared_cpu_map": "\n",
    ])
    #expect(topology.cores.map(\.cpus) == ["0,32", [1]])
    #expect(topology.isolated.isEmpty)
    #expect(topology.l3Domains == [.init(level: 3, byteCount: 32 << 20, cpus: "0,32")])
  }

  @Test("without a list of online CPUs each CPU's own file counts")
  func oldKernel() throws {
    let topology = try CPUTopology(files: [
      "\(cpu)/cpu0/topology/core_id": "0", "\(cpu)/cpu1/online": "0\n", "\(cpu)/cpu2/online": "1\n",
      "\(cpu)/cpufreq/x": "", "\(cpu)/cpuidle/x": "",
    ])
    #expect(topology.online == "0,2")
    #expect(topology.cpus.map(\.id) == [0, 1, 2])
  }

  @Test("nodes may have holes, no CPUs or no memory")
  func oddNodes() throws {
    let node = "sys/devices/system/node"
    let topology = try CPUTopology(files: [
      "\(cpu)/online": "0-3", "\(node)/node1/cpumap": "3", "\(node)/node1/distance": "10 17 28",
      "\(node)/node1/meminfo": "Node 1 MemTotal:       1024 kB\n",
      "\(node)/node4/cpulist": "2-7", "\(node)/node9/cpumap": "0",
      "\(node)/node9/distance": "28 10", "\(node)/possible": "0-9",
    ])
    #expect(topology.numaNodes.map(\.id) == [1, 4, 9])
    #expect(topology.numaNodes.map(\.cpus) == ["0,1", "2,3", []])
    #expect(topology.numaNodes.map(\.memoryByteCount) == [1 << 20, 0, 0])
    #expect(topology.numaNodes[0].distances == [1: 10, 4: 17, 9: 28])
    #expect(topology.numaNodes[2].distances == [:])
    #expect(topology.cores.map(\.numaNode) == [1, 1, 4, 4])
  }

  @Test("a node without CPUs is near its initiators, else near the nodes at the smallest distance")
  func nearestCPUs() throws {
    let node = "sys/devices/system/node"
    let topology = try CPUTopology(files: [
      "\(cpu)/online": "0-3", "\(node)/node0/cpumap": "3", "\(node)/node1/cpumap": "c",
      "\(node)/node2/cpumap": "", "\(node)/node2/access0/initiators/node0/x": "",
      "\(node)/node2/access0/initiators/node1/x": "",
      "\(node)/node2/access1/initiators/node1/x": "",
      "\(node)/node3/cpumap": "", "\(node)/node3/distance": "17 28 10 10 20",
      "\(node)/node4/cpumap": "", "\(node)/has_memory": "0-2,4",
    ])
    #expect(topology.numaNodes.map(\.nearestCPUs) == ["0,1", "2,3", "2,3", "0,1", "0-3"])
    #expect(topology.allowedNodes == [0, 1, 2, 4])
  }

  @Test("level 2 caches, clock ticks, possible CPUs and dies are read")
  func furtherFiles() throws {
    var files = [
      "\(cpu)/online": "0-3", "\(cpu)/present": "0-3", "\(cpu)/possible": "0-87",
      "\(cpu)/nohz_full": "2-3",
    ]
    for number in 0..<4 {
      let cache = "\(cpu)/cpu\(number)/cache"
      for (index, level, type, map) in [
        (0, 1, "Data", 1 << number), (1, 2, "Instruction", 15),
        (2, 2, "Unified", number < 2 ? 3 : 12),
      ] {
        files["\(cache)/index\(index)/level"] = "\(level)"
        files["\(cache)/index\(index)/type"] = type
        files["\(cache)/index\(index)/size"] = "2M"
        files["\(cache)/index\(index)/shared_cpu_map"] = String(map, radix: 16)
      }
      files["\(cpu)/cpu\(number)/topology/die_cpus"] = number < 2 ? "3" : "c"
    }
    let topology = try CPUTopology(files: files)
    #expect(topology.l2Domains.map(\.cpus) == ["0,1", "2,3"])
    #expect(topology.l2Domains.map(\.byteCount) == [2 << 20, 2 << 20])
    #expect(topology.l3Domains.isEmpty)
    #expect(topology.tickless == "2,3")
    #expect(topology.possible == "0-87")
    #expect(topology.dies.map(\.cpus) == ["0,1", "2,3"])
    // A kernel that knows of no dies gives each CPU one.
    for number in 0..<4 { files["\(cpu)/cpu\(number)/topology/die_cpus"] = "\(1 << number)" }
    #expect(try CPUTopology(files: files).dies.map(\.cpus) == ["0-3"])
  }

  @Test("more CPUs than 1024 are read", arguments: [1025, 2048])
  func manyCPUs(count: Int) throws {
    let upper = count == 1025 ? ["1"] : [String](repeating: "ffffffff", count: 32)
    let mask = (upper + [String](repeating: "00000000", count: 32)).joined(separator: ",")
    let topology = try CPUTopology(files: [
      "\(cpu)/online": "0-\(count - 1)", "\(cpu)/present": "0-\(count - 1)",
      "\(cpu)/cpu0/topology/package_cpus_list": "0-1023",
      "\(cpu)/cpu1024/topology/package_cpus": mask,
    ])
    #expect(topology.cores.count == count)
    #expect(topology.packages.count == 2)
    #expect(topology.packages.last?.cpus == CPUSet(1024..<count))
    let plan = try Placement(.compact, binding: .package).plan(workers: count, on: topology)
    #expect(plan.reduce(CPUSet()) { $0.union($1) } == topology.online)
  }

  @Test(
    "kinds come from the kernel's lists, else from a wide gap between speeds",
    arguments: [
      (["cpu_core/cpus": "0-1", "cpu_atom/cpus": "2-3"], "PPEE"),
      (["cpu_core/cpus": "0-3"], "UUUU"),
      (["cpu_capacity": "1024 1024 400 400"], "PPEE"),
      (["cpu_capacity": "1024 980 1024 1000"], "UUUU"),
      (["acpi_cppc/highest_perf": "231 221 211 201"], "UUUU"),
      (["cpufreq/cpuinfo_max_freq": "5000000 3800000 5200000 3800000"], "PEPE"),
      (["cpufreq/cpuinfo_max_freq": "5000000 3800000"], "UUUU"),
    ] as [([String: String], String)])
  func kinds(sources: [String: String], expected: String) throws {
    var files = ["\(cpu)/online": "0-3"]
    for (name, text) in sources {
      if name.hasSuffix("/cpus") {
        files["sys/devices/\(name)"] = text
      } else {
        for (index, value) in text.split(separator: " ").enumerated() {
          files["\(cpu)/cpu\(index)/\(name)"] = String(value)
        }
      }
    }
    let letters: [CoreKind: String] = [.performance: "P", .efficiency: "E", .uniform: "U"]
    let topology = try CPUTopology(files: files)
    #expect(topology.cores.map { letters[$0.kind] ?? "?" }.joined() == expected)
    #expect(topology.cpus.map(\.kind) == topology.cores.map(\.kind))
  }

  @Test("a folder without CPUs, and a file without sense, are errors that name the path")
  func unreadable() throws {
    try withTemporaryTree { root in
      let error = #expect(throws: TopologyError.self) { try CPUTopology(root: root) }
      #expect(error?.description.contains("\(root)/\(cpu)") == true)
    }
    for (name, text) in [("online", "0-"), ("isolated", "x"), ("cpu0/topology/core_cpus", "zz")] {
      let files = ["\(cpu)/online": "0-1"].merging(["\(cpu)/\(name)": text]) { $1 }
      try withTemporaryTree(files) { root in
        let error = #expect(throws: TopologyError.self) { try CPUTopology(root: root) }
        guard case .malformed(root.appending("\(cpu)/\(name)"), _) = error else {
          Issue.record("another error: \(String(describing: error))")
          return
        }
      }
    }
  }

  @Test("a topology survives coding")
  func coding() throws {
    let topology = MadeUpMachine.hybrid.topology
    let data = try JSONEncoder().encode(topology)
    #expect(try JSONDecoder().decode(CPUTopology.self, from: data) == topology)
  }
}

@Suite("This machine")
struct ThisMachineTests {
  @Test("every online CPU is in one package, one core and at most one cache")
  func isConsistent() {
    let topology = CPUTopology.current
    for groups in [topology.packages.map(\.cpus), topology.cores.map(\.cpus)] {
      #expect(groups.reduce(CPUSet()) { $0.union($1) } == topology.online)
      #expect(groups.reduce(0) { $0 + $1.count } == topology.online.count)
    }
    #expect(topology.l3Domains.allSatisfy { $0.cpus.isSubset(of: topology.online) })
    #expect(topology.allowed.isSubset(of: topology.online))
    #expect(!topology.allowed.isEmpty)
    for core in topology.cores {
      #expect(topology.cores[core.id] == core)
      #expect(core.cpus.allSatisfy { topology[cpu: $0]?.core == core.id })
    }
  }

  @Test("the usable count lies between one and the CPUs of the mask")
  func usableCount() throws {
    #expect((1...CPUTopology.current.allowed.count).contains(CPUTopology.usableCPUCount))
  }

  @Test("a spread plan can be set")
  func planCanBeSet() throws {
    let plan = try Placement.spread.plan(workers: 3, on: .current)
    for set in plan {
      #expect(try withCPUAffinity(set) { CPUAffinity.current } == set)
    }
  }
}
