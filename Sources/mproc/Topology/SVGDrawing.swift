// A machine as a picture: boxes in boxes, each CPU a small square with its number, its colour what the
// process may do with it. The same tree as the drawing in text.

internal import ProcessorTopology

struct SVGDrawing {
  /// A rectangle of a size that can be drawn at a place.
  private struct Block {
    var width: Int
    var height: Int
    var draw: (_ x: Int, _ y: Int) -> [String]
  }

  private let topology: CPUTopology
  private let tree: MachineTree
  private let cell: Int

  private let gap = 6
  private let titleHeight = 18
  private let margin = 12
  /// Where a row of boxes ends, in pixels; wide machines get wide pictures.
  private let rowLimit: Int

  init(_ topology: CPUTopology) {
    self.topology = topology
    tree = MachineTree(topology)
    cell = 12 + 7 * String(topology.online.reduce(0, max)).count
    rowLimit = topology.online.count <= 64 ? 760 : 1500
  }

  var text: String {
    let picture = box(tree, width: rowLimit, depth: 0)
    let notes = legend
    let width = max(picture.width, 420) + 2 * margin
    let height = picture.height + 2 * margin + notes.count * titleHeight
    var lines = [
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(width)\" height=\"\(height)\" "
        + "viewBox=\"0 0 \(width) \(height)\" font-family=\"sans-serif\" font-size=\"12\">",
      "<title>\(topology.cores.count) cores, \(topology.online.count) CPUs</title>",
      "<rect width=\"\(width)\" height=\"\(height)\" fill=\"#ffffff\"/>",
    ]
    lines += picture.draw(margin, margin)
    for (index, note) in notes.enumerated() {
      lines += note(margin, picture.height + 2 * margin + index * titleHeight)
    }
    return (lines + ["</svg>"]).joined(separator: "\n")
  }
}

// MARK: - Boxes

extension SVGDrawing {
  private func box(_ tree: MachineTree, width: Int, depth: Int) -> Block {
    let isFramed = !tree.labels.isEmpty
    let inner = width - (isFramed ? 2 * gap : 0)
    let cores = tree.coresByKind.map { kind, cores in
      flow(cores.map { core($0, kind) }, width: inner)
    }
    let children = flow(
      tree.children.map { box($0, width: inner, depth: depth + 1) }, width: inner)
    let content = stack((cores + [children]).filter { $0.height > 0 })
    return isFramed ? framed(content, tree.labels.joined(separator: " · "), depth) : content
  }

  private func framed(_ content: Block, _ title: String, _ depth: Int) -> Block {
    // About seven pixels a character at this size.
    let width = max(content.width, title.count * 7) + 2 * gap
    let height = content.height + titleHeight + gap
    let fill = ["#e8eef4", "#d6e2ee", "#f6f1e3", "#e9efe1"][min(depth, 3)]
    let (titleHeight, gap) = (titleHeight, gap)
    return Block(width: width, height: height) { x, y in
      [
        "<rect x=\"\(x)\" y=\"\(y)\" width=\"\(width)\" height=\"\(height)\" rx=\"4\" "
          + "fill=\"\(fill)\" stroke=\"#5b6b7b\"/>",
        Self.label(title, x + gap, y + 13),
      ] + content.draw(x + gap, y + titleHeight)
    }
  }

  private func core(_ core: CPUTopology.Core, _ kind: CoreKind) -> Block {
    let cpus = core.cpus.map { ($0, CPUState($0, in: topology)) }
    let cell = cell
    let width = cpus.count * (cell + 2) + 6
    let about = kind == .uniform ? "core \(core.id)" : "core \(core.id), \(kind.rawValue)"
    let edge = kind == .performance ? "#9c4a1a" : "#5b6b7b"
    return Block(width: width, height: 26) { x, y in
      let frame =
        "<g><title>\(about)</title><rect x=\"\(x)\" y=\"\(y)\" width=\"\(width)\" height=\"26\" "
        + "rx=\"3\" fill=\"#ffffff\" stroke=\"\(edge)\"/></g>"
      return [frame]
        + cpus.enumerated().flatMap { index, cpu in
          Self.square(cpu.0, cpu.1, x + 4 + index * (cell + 2), y + 4, cell)
        }
    }
  }

  private static func square(
    _ cpu: Int, _ state: CPUState, _ x: Int, _ y: Int, _ width: Int
  ) -> [String] {
    [
      "<g><title>CPU \(cpu), \(state.name)</title><rect x=\"\(x)\" y=\"\(y)\" width=\"\(width)\" "
        + "height=\"18\" rx=\"2\" fill=\"\(colour(state))\" stroke=\"#5b6b7b\"/>"
        + "<text x=\"\(x + width / 2)\" y=\"\(y + 13)\" text-anchor=\"middle\">\(cpu)</text></g>"
    ]
  }

  private static func colour(_ state: CPUState) -> String {
    switch state {
    case .allowed: "#9fd49f"
    case .isolated: "#f2d272"
    case .forbidden: "#ededed"
    }
  }

  private static func label(_ text: String, _ x: Int, _ y: Int) -> String {
    "<text x=\"\(x)\" y=\"\(y)\">\(text)</text>"
  }
}

// MARK: - Arranging

extension SVGDrawing {
  private func flow(_ blocks: [Block], width: Int) -> Block {
    stack(rows(of: blocks, width: width, gap: gap, measure: \.width).map(row))
  }

  private func row(_ blocks: [Block]) -> Block {
    let gap = gap
    let width = blocks.reduce(-gap) { $0 + gap + $1.width }
    return Block(width: max(width, 0), height: blocks.map(\.height).max() ?? 0) { x, y in
      var left = x
      return blocks.flatMap { block in
        defer { left += block.width + gap }
        return block.draw(left, y)
      }
    }
  }

  private func stack(_ blocks: [Block]) -> Block {
    let gap = gap
    let height = blocks.reduce(-gap) { $0 + gap + $1.height }
    return Block(width: blocks.map(\.width).max() ?? 0, height: max(height, 0)) { x, y in
      var top = y
      return blocks.flatMap { block in
        defer { top += block.height + gap }
        return block.draw(x, top)
      }
    }
  }

  /// Lines under the picture.
  private var legend: [(_ x: Int, _ y: Int) -> [String]] {
    let states = Set(topology.online.map { CPUState($0, in: topology) })
    var lines: [(Int, Int) -> [String]] = CPUState.allCases.filter(states.contains).map { state in
      { x, y in
        [
          "<rect x=\"\(x)\" y=\"\(y - 4)\" width=\"12\" height=\"12\" "
            + "fill=\"\(Self.colour(state))\" stroke=\"#5b6b7b\"/>",
          Self.label(state.name, x + 18, y + 6),
        ]
      }
    }
    let offline = CPUSet(topology.cpus.filter { !$0.isOnline }.map(\.id))
    let notes =
      (offline.isEmpty ? [] : ["offline: CPUs \(offline)"])
      + topology.numaNodes.filter { $0.cpus.isEmpty }.map { "\($0.label), no CPUs" }
    lines += notes.map { note in { x, y in [Self.label(note, x, y + 6)] } }
    return lines
  }
}
