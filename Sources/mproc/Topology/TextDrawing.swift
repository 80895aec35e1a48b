// A machine drawn with characters. Up to 64 CPUs each core is a cell with its CPU numbers, as in
// "[0■ 4■]", and boxes stand side by side; beyond that each innermost box is one line with its list of
// CPUs and a mark a CPU, since two hundred cells are no picture any more.

internal import ProcessorTopology

struct TextDrawing {
  let topology: CPUTopology
  let width: Int
  let glyphs: Glyphs

  private static let cellLimit = 64
  private let digits: Int

  init(_ topology: CPUTopology, width: Int, glyphs: Glyphs) {
    self.topology = topology
    self.width = max(width, 40)
    self.glyphs = glyphs
    digits = String(topology.online.reduce(0, max)).count
  }

  var text: String {
    let tree = MachineTree(topology)
    let drawing =
      topology.online.count <= Self.cellLimit ? box(tree, width) : rows(tree, width)
    return TextBlock.stack([TextBlock(summary), drawing, TextBlock(legend + notes + distances)])
      .lines.map { $0.trimmingBlanks }.joined(separator: "\n")
  }
}

// MARK: - Cells

extension TextDrawing {
  private func box(_ tree: MachineTree, _ width: Int) -> TextBlock {
    let inner = tree.labels.isEmpty ? width : width - 4
    let cells = tree.coresByKind.flatMap { kind, cores in
      (kind == .uniform ? [] : [TextBlock(["\(kind.rawValue) cores"])])
        + [TextBlock.flow(cores.map(cell), width: inner, gap: 1)]
    }
    let content = TextBlock.stack(
      cells + [.flow(tree.children.map { box($0, inner) }, width: inner, gap: 1)])
    return tree.labels.isEmpty
      ? content : content.framed(tree.labels, width: width, glyphs: glyphs)
  }

  private func cell(_ core: CPUTopology.Core) -> TextBlock {
    let cpus = core.cpus.map { cpu in
      let number = String(cpu)
      return String(repeating: " ", count: digits - number.count) + number
        + glyphs.mark(CPUState(cpu, in: topology))
    }
    return TextBlock(["[" + cpus.joined(separator: " ") + "]"])
  }
}

// MARK: - Rows

extension TextDrawing {
  private func rows(_ tree: MachineTree, _ width: Int) -> TextBlock {
    if tree.children.isEmpty { return line(tree, width) }
    let inner = tree.labels.isEmpty ? width : width - 4
    // Leaves beside each other are one table.
    var blocks: [TextBlock] = []
    if !tree.cores.isEmpty {
      var rest = tree
      rest.children = []
      rest.labels = ["cores"]
      blocks.append(line(rest, inner))
    }
    blocks += tree.children.map { rows($0, inner) }
    let content = TextBlock.stack(blocks)
    return tree.labels.isEmpty
      ? content : content.framed(tree.labels, width: width, glyphs: glyphs)
  }

  /// "L3 32 MiB  CPUs 0-7,192-199  ■■■■■■■■ ■■■■■■■■": a run of marks for the first CPUs of all cores,
  /// one for the second ones.
  private func line(_ tree: MachineTree, _ width: Int) -> TextBlock {
    let cpus = tree.cores.reduce(CPUSet()) { $0.union($1.cpus) }
    var words = [tree.labels.joined(separator: glyphs.separator), "CPUs \(cpus.stepList)"]
    for (kind, cores) in tree.coresByKind {
      if kind != .uniform { words.append("\(kind.rawValue):") }
      let threads = cores.map { Array($0.cpus) }
      for rank in 0..<(threads.map(\.count).max() ?? 0) {
        words.append(
          threads.compactMap { rank < $0.count ? $0[rank] : nil }
            .map { glyphs.mark(CPUState($0, in: topology)) }.joined())
      }
    }
    return TextBlock(wrapped(words, width))
  }

  /// Words in lines of a width, the second and later lines indented; a word that is too long for any
  /// line is cut.
  private func wrapped(_ words: [String], _ width: Int, gap: String = "  ") -> [String] {
    var lines: [String] = []
    for word in words {
      var rest = Substring(word)
      if let last = lines.last, last.count + gap.count + rest.count <= width {
        lines[lines.count - 1] += gap + rest
        continue
      }
      repeat {
        let indent = lines.isEmpty ? "" : "  "
        let part = piece(of: rest, width - indent.count)
        lines.append(indent + part)
        rest = rest.dropFirst(part.count)
      } while !rest.isEmpty
    }
    return lines
  }

  /// As much of a text as fits, up to a comma where there is one.
  private func piece(of text: Substring, _ width: Int) -> Substring {
    if text.count <= width { return text }
    let part = text.prefix(width)
    return part.lastIndex(of: ",").map { part[...$0] } ?? part
  }
}

// MARK: - Around the picture

extension TextDrawing {
  private var summary: [String] {
    let parts = [
      (topology.packages.count, "package"), (topology.numaNodes.count, "NUMA node"),
      (topology.cores.count, "core"), (topology.online.count, "CPU"),
    ]
    var words = parts.map { "\($0) \($1)\($0 == 1 ? "" : "s")" }
    let own = Set(
      topology.l2Domains.filter { domain in
        topology.cores.contains { domain.cpus.isSubset(of: $0.cpus) }
      }.map(\.byteCount))
    if let size = own.first, own.count == 1, size > 0 {
      words.append("L2 \(byteText(size)) a core")
    }
    return wrapped(words.dropLast().map { $0 + "," } + words.suffix(1), width, gap: " ")
  }

  private var legend: [String] {
    let states = Set(topology.online.map { CPUState($0, in: topology) })
    return [
      CPUState.allCases.filter(states.contains).map { "\(glyphs.mark($0)) \($0.name)" }
        .joined(separator: "   ")
    ]
  }

  private var notes: [String] {
    let offline = CPUSet(topology.cpus.filter { !$0.isOnline }.map(\.id))
    let notPresent = topology.possible.subtracting(CPUSet(topology.cpus.map(\.id)))
    let sets = [
      ("offline", offline), ("isolated", topology.isolated), ("tickless", topology.tickless),
      ("allowed", topology.allowed == topology.online ? [] : topology.allowed),
      ("room for", notPresent),
    ]
    var notes = sets.filter { !$1.isEmpty }.map { "\($0): CPUs \($1.stepList)" }
    if topology.allowed.isEmpty { notes.append("allowed: none") }
    let forbidden = topology.numaNodes.filter {
      $0.memoryByteCount > 0 && !topology.allowedNodes.contains($0.id)
    }
    if !forbidden.isEmpty {
      notes.append("memory not allowed: nodes \(CPUSet(forbidden.map(\.id)))")
    }
    notes += topology.numaNodes.filter { $0.cpus.isEmpty }.map {
      "\($0.label), no CPUs"
        + ($0.nearestCPUs == topology.online ? "" : ", near CPUs \($0.nearestCPUs.stepList)")
    }
    if let quota = topology.quota {
      notes.append(
        "quota: \(quota.quotaMicroseconds) of \(quota.periodMicroseconds) microseconds, "
          + "rounded up \(quota.cpuCount)")
    }
    return notes.flatMap { wrapped($0.split(separator: " ").map(String.init), width, gap: " ") }
  }

  private var distances: [String] {
    let nodes = topology.numaNodes
    guard nodes.count > 1, nodes.contains(where: { !$0.distances.isEmpty }) else { return [] }
    let names = nodes.map { "\($0.id)" }
    let table = nodes.map { from in
      nodes.map { from.distances[$0.id].map(String.init) ?? "?" }
    }
    let column = (table + [names]).joined().map(\.count).max() ?? 1
    func row(_ label: String, _ cells: [String]) -> String {
      ([label] + cells).map { String(repeating: " ", count: column - $0.count) + $0 }
        .joined(separator: " ")
    }
    guard (column + 1) * (nodes.count + 1) <= width else {
      return ["distances of \(nodes.count) nodes: see --format json"]
    }
    return ["distances between nodes", row("", names)] + zip(names, table).map(row)
  }
}

extension CPUSet {
  /// The list form with "first-last:step" for runs of four and more at equal distances.
  fileprivate var stepList: String {
    let cpus = Array(self)
    var items: [String] = []
    var start = 0
    while start < cpus.count {
      var end = start
      let step = start + 1 < cpus.count ? cpus[start + 1] - cpus[start] : 1
      while end + 1 < cpus.count, cpus[end + 1] - cpus[end] == step { end += 1 }
      if end - start < (step == 1 ? 2 : 3) { end = start }
      let last = end > start ? "-\(cpus[end])" : ""
      items.append("\(cpus[start])\(last)\(end > start && step > 1 ? ":\(step)" : "")")
      start = end + 1
    }
    return items.joined(separator: ",")
  }
}

extension String {
  fileprivate var trimmingBlanks: String {
    var text = Substring(self)
    while text.last == " " { text.removeLast() }
    return String(text)
  }
}
