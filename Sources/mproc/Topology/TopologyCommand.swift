// `mproc topology`: what this machine's processors are, or those of a machine whose /sys and /proc
// were copied into a folder.

internal import ArgumentParser
internal import ProcessorTopology
internal import SystemPackage

struct TopologyCommand: ParsableCommand {
  enum Format: String, ExpressibleByArgument, CaseIterable {
    case text, json, svg
  }

  static let configuration = CommandConfiguration(
    commandName: "topology",
    abstract: "Show packages, NUMA nodes, caches, cores and CPUs.",
    discussion: """
      As text the machine is a drawing of boxes: CPUs with ■ may be used here, those with □ may not, \
      those with ◆ are isolated. Where the locale has no UTF-8 the marks are *, - and i.
      """)

  @Option(
    help: ArgumentHelp(
      "A folder with copies of another machine's sys and proc.", valueName: "folder"))
  var root: String?

  @Option(help: "How to print it.")
  var format: Format = .text

  @Option(help: "How many columns the text has. (default: the terminal's, else 80)")
  var width: Int?

  func validate() throws {
    guard width ?? 80 >= 40 else {
      throw ValidationError("a drawing needs a width of 40 columns and more")
    }
  }

  func run() throws {
    let topology = try root.map { try CPUTopology(root: FilePath($0)) } ?? .current
    switch format {
    case .text:
      let drawing = TextDrawing(
        topology, width: width ?? Terminal.width, glyphs: Terminal.hasUnicode ? .boxes : .plain)
      print(drawing.text)
    case .json: print(topology.json.description)
    case .svg: print(SVGDrawing(topology).text)
    }
  }
}
