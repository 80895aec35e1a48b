// Spread plans beside those of hwloc-distrib, where the workers can be shared out evenly: a remainder goes
// elsewhere there, and its domains weigh as much as they have hardware threads.

import Foundation
import SystemPackage
import Testing

@testable import ProcessorTopology

@Suite("Plans beside hwloc's")
struct HwlocTests {
  private static let program = ["/usr/bin/hwloc-distrib", "/usr/local/bin/hwloc-distrib"].first {
    FileManager.default.isExecutableFile(atPath: $0)
  }

  @Test(
    "workers that can be shared out evenly are where hwloc-distrib puts them",
    .enabled(if: program != nil, "hwloc-distrib is not installed (package hwloc-nox)"),
    arguments: RecordedMachine.own)
  func evenWorkers(machine: RecordedMachine) throws {
    let topology = try machine.topology()
    let widths = Set(topology.cores.map(\.cpus.count))
    guard topology.allowed == topology.online, topology.isolated.isEmpty, widths.count == 1 else {
      return
    }
    let counts = Set([
      1, topology.packages.count, topology.numaNodes.count { !$0.cpus.isEmpty },
      topology.l3Domains.count, topology.cores.count,
    ]).subtracting([0])
    try machine.withFiles { root in
      for workers in counts {
        let plan = try Placement(.spread, binding: .thread).plan(workers: workers, on: topology)
        #expect(try plan == hwlocPlan(workers, root.string), "\(workers) workers")
      }
    }
  }

  private func hwlocPlan(_ workers: Int, _ root: String) throws -> [CPUSet] {
    let (process, output) = (Process(), Pipe())
    process.executableURL = URL(fileURLWithPath: try #require(Self.program))
    process.arguments = ["\(workers)", "--single", "--taskset"]
    process.environment = [
      "HWLOC_FSROOT": root, "HWLOC_COMPONENTS": "linux,stop", "HWLOC_THISSYSTEM": "0",
    ]
    process.standardOutput = output
    try process.run()
    let text = String(
      decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    process.waitUntilExit()
    return try text.split(separator: "\n").map { line in
      let mask = try #require(UInt64(line.dropFirst(2), radix: 16))
      return CPUSet(words: [UInt(mask)])
    }
  }
}
