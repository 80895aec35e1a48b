// `mproc plan`: which CPUs `mproc run` and a pool would give to each worker, on this machine or on one
// whose /sys and /proc were copied into a folder.

internal import ArgumentParser
internal import ProcessorTopology
internal import SystemPackage

struct PlanCommand: ParsableCommand {
  enum Format: String, ExpressibleByArgument, CaseIterable {
    case text, json
  }

  static let configuration = CommandConfiguration(
    commandName: "plan", abstract: "Show which CPUs each worker would be bound to.")

  @Option(
    help: ArgumentHelp(
      "A folder with copies of another machine's sys and proc.", valueName: "folder"))
  var root: String?

  @Option(help: "How many. (default: as many as CPUs can work at once)")
  var workers: Int?

  @OptionGroup var options: PlacementOptions

  @Option(help: "How to print it.")
  var format: Format = .text

  func validate() throws {
    try mproc.validate(workers: workers)
  }

  func run() throws {
    let topology = try root.map { try CPUTopology(root: FilePath($0)) } ?? .current
    let plan = try options.plan(workers: workers, on: topology)
    switch format {
    case .text:
      for (index, cpus) in plan.enumerated() {
        print(
          cpus.isEmpty
            ? "worker \(index): not bound"
            : "worker \(index): CPUs \(cpus) (\(topology.place(of: cpus)))")
      }
    case .json:
      print(JSON.array(plan.map { .array($0.map(JSON.integer)) }))
    }
  }
}
