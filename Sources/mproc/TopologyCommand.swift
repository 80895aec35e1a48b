// `mproc topology`: what this machine's processors are, or those of a machine whose /sys and /proc
// were copied into a folder.

internal import ArgumentParser
internal import ProcessorTopology
internal import SystemPackage

struct TopologyCommand: ParsableCommand {
  enum Format: String, ExpressibleByArgument, CaseIterable {
    case text, json
  }

  static let configuration = CommandConfiguration(
    commandName: "topology",
    abstract: "Show packages, NUMA nodes, caches, cores and CPUs.")

  @Option(
    help: ArgumentHelp(
      "A folder with copies of another machine's sys and proc.", valueName: "folder"))
  var root: String?

  @Option(help: "How to print it.")
  var format: Format = .text

  func run() throws {
    let machine = try root.map { try Machine(root: FilePath($0)) } ?? Machine()
    switch format {
    case .text: print(machine.text)
    case .json: print(machine.json.description)
    }
  }
}

/// All that is printed: a topology and the limits beside it.
struct Machine {
  var topology: CPUTopology
  var quota: CPUQuota?
  var tickless: CPUSet

  init() {
    topology = .current
    quota = CPUTopology.cpuQuota(root: "/")
    tickless = CPUTopology.tickless(root: "/")
  }

  init(root: FilePath) throws {
    topology = try CPUTopology(root: root)
    quota = CPUTopology.cpuQuota(root: root)
    tickless = CPUTopology.tickless(root: root)
  }
}
