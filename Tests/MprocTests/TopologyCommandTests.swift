// `mproc topology`: the drawings and the JSON, of recorded machines and of made-up large ones.

import Foundation
import Testing

private let unicode = ["LC_ALL": "C.UTF-8"]

/// Unpacks a machine of the topology tests and runs `body` with its folder.
private func withMachine<R>(_ name: String, _ body: (String) throws -> R) throws -> R {
  let archive = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
    .deletingLastPathComponent()
    .appendingPathComponent("../ProcessorTopologyTests/Fixtures/vm/\(name).tar.gz")
  return try withFolder { folder in
    let unpacked = try Run(["tar", "xzf", archive.path, "-C", folder]).finish()
    try #require(unpacked.status == 0)
    return try body("\(folder)/\(name)")
  }
}

private func withFolder<R>(_ body: (String) throws -> R) throws -> R {
  let folder = FileManager.default.temporaryDirectory
    .appendingPathComponent("mproc-test-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  return try body(folder.path)
}

/// Two packages of twelve caches of eight cores of two threads; every fourth CPU is forbidden.
private func withLargeMachine<R>(_ body: (String) throws -> R) throws -> R {
  try withFolder { folder in
    func write(_ path: String, _ text: String) throws {
      let file = URL(fileURLWithPath: folder).appendingPathComponent(path)
      try FileManager.default.createDirectory(
        at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(text.utf8).write(to: file)
    }
    let cpu = "sys/devices/system/cpu"
    try write("\(cpu)/online", "0-383")
    for number in 0..<192 {
      let (package, cache) = (number / 96 * 96, number / 8 * 8)
      for (file, first, count) in [
        ("topology/core_cpus_list", number, 1), ("topology/package_cpus_list", package, 96),
        ("cache/index0/shared_cpu_list", cache, 8),
      ] {
        let last = first + count - 1
        try write(
          "\(cpu)/cpu\(number)/\(file)", "\(first)-\(last),\(first + 192)-\(last + 192)")
      }
      try write("\(cpu)/cpu\(number)/cache/index0/level", "3")
      try write("\(cpu)/cpu\(number)/cache/index0/size", "32768K")
    }
    try write("proc/self/cgroup", "0::/")
    try write("proc/mounts", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0")
    let allowed = (0..<384).filter { $0 % 4 != 3 }.map(String.init).joined(separator: ",")
    try write("sys/fs/cgroup/cpuset.cpus.effective", allowed)
    return try body(folder)
  }
}

@Suite("mproc topology", .timeLimit(.minutes(2)))
struct TopologyCommandTests {
  @Test("a small machine is drawn with a cell a core and a mark a CPU")
  func cells() throws {
    let outcome = try withMachine("vm-cpuset") {
      try mproc("topology", "--root", $0, environment: unicode)
    }
    #expect(outcome.errors == "")
    #expect(
      outcome.output == """
        2 packages, 2 NUMA nodes, 4 cores, 8 CPUs, L2 4 MiB a core
        ┌─ package 0 · node 0 123.8 MiB · L3 16 MiB ─┐
        │ [0□ 1■] [2□ 3□]                            │
        └────────────────────────────────────────────┘
        ┌─ package 1 · node 1 92 MiB · L3 16 MiB ─┐
        │ [4□ 5□] [6■ 7■]                         │
        └─────────────────────────────────────────┘
        ■ allowed   □ not allowed
        allowed: CPUs 1,6,7
        memory not allowed: nodes 0
        distances between nodes
            0  1
         0 10 20
         1 20 10

        """)
  }

  @Test("without UTF-8 the drawing is ASCII")
  func ascii() throws {
    let outcome = try withMachine("vm-isolated") {
      try mproc("topology", "--root", $0, environment: ["LC_ALL": "C"])
    }
    #expect(outcome.output.utf8.allSatisfy { $0 < 128 })
    #expect(outcome.output.contains("| [0* 1*] [2i 3i]"))
    #expect(outcome.output.contains("isolated: CPUs 2,3\n"))
  }

  @Test(
    "what is special of a machine is said below the drawing",
    arguments: [
      ("vm-cpuless", "node 2 125.8 MiB, no CPUs"), ("vm-memoryless", "node 1 no memory"),
      ("vm-cpumax", "quota: 150000 of 100000 microseconds, rounded up 2"),
      ("vm-offline", "offline: CPUs 3,5"), ("vm-empty-packages", "room for: CPUs 8-31"),
      ("vm-2s2d2c2t", "┌─ die 3 "), ("vm-isolated", "◆ allowed, isolated"),
    ])
  func notes(machine: String, note: String) throws {
    let outcome = try withMachine(machine) {
      try mproc("topology", "--root", $0, environment: unicode)
    }
    #expect(outcome.output.contains(note), "\(outcome.output)")
  }

  @Test("384 CPUs are a line a cache, in 80 columns and in 40", arguments: [80, 40])
  func rows(width: Int) throws {
    let outcome = try withLargeMachine {
      try mproc("topology", "--root", $0, "--width", "\(width)", environment: unicode)
    }
    #expect(outcome.lines.allSatisfy { $0.count <= width })
    #expect(outcome.lines.count < (width == 80 ? 50 : 100))
    // A mark for each CPU, and two in the legend.
    #expect(outcome.output.count { $0 == "■" } == 288 + 1)
    #expect(outcome.output.count { $0 == "□" } == 96 + 1)
    #expect(outcome.output.count { $0 == "\n" } == outcome.lines.count)
    if width == 80 {
      #expect(outcome.output.contains("│ L3 32 MiB  CPUs 8-15,200-207  ■■■□■■■□  ■■■□■■■□ "))
    }
  }

  @Test("the width is that of COLUMNS where there is no terminal")
  func columns() throws {
    let outcome = try withMachine("vm-2s4c2t-4nodes") {
      try mproc("topology", "--root", $0, environment: ["COLUMNS": "44", "LC_ALL": "C"])
    }
    #expect(outcome.lines.map(\.count).max() ?? 0 <= 44)
    #expect(try mproc("topology", "--width", "39").status == 64)
  }

  @Test("the picture is well-formed and has a square for each CPU")
  func picture() throws {
    let outcome = try withLargeMachine { try mproc("topology", "--root", $0, "--format", "svg") }
    #expect(outcome.output.hasPrefix("<svg xmlns=\"http://www.w3.org/2000/svg\""))
    for cpu in 0..<384 {
      let name = cpu % 4 == 3 ? "not allowed" : "allowed"
      #expect(outcome.output.contains("<title>CPU \(cpu), \(name)</title>"))
    }
    for tag in ["svg", "g", "title", "text"] {
      let opened = outcome.output.matches(of: try Regex("<\(tag)[ >]")).count
      #expect(opened == outcome.output.matches(of: try Regex("</\(tag)>")).count)
    }
  }

  @Test("the JSON has every field, the same as the expected values")
  func json() throws {
    let outcome = try withMachine("vm-cpumax") {
      try mproc("topology", "--root", $0, "--format", "json")
    }
    let object = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
    let fields = try #require(object as? [String: Any])
    #expect(fields["cpu_max"] as? [Int] == [150_000, 100_000])
    #expect(fields["allowed_nodes"] as? [Int] == [0, 1])
    #expect(fields["packages"] as? [[Int]] == [[0, 1, 2, 3], [4, 5, 6, 7]])
    #expect(fields["l2"] as? [[Int]] == [[0, 1], [2, 3], [4, 5], [6, 7]])
    let names = [
      "possible", "online", "allowed", "isolated", "nohz_full", "dies", "numa_nodes", "distances",
      "l3", "cores", "core_kinds",
    ]
    #expect(names.allSatisfy { fields[$0] != nil })
  }

  @Test("this machine is drawn, and a folder without one is an error that names it")
  func thisMachine() throws {
    let outcome = try mproc("topology", environment: unicode)
    #expect(outcome.status == 0)
    #expect(outcome.output.contains("package 0"))
    let missing = try mproc("topology", "--root", "/nonexistent")
    #expect(missing.status != 0)
    #expect(missing.output == "")
    #expect(missing.errors.contains("/nonexistent/sys/devices/system/cpu"))
  }
}
