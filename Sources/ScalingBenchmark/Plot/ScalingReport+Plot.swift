// The speed-up curves as a picture for a talk: a panel for each kernel, one legend above them, the
// machine below.

extension ScalingReport {
  /// An SVG document, 960 by 600 pixels; with more than three kernels in a row it would grow in
  /// height, a row of panels at a time.
  public var svg: String {
    let series = PlotSeries.all(in: self)
    let kernels = self.kernels
    let rows = max(1, (kernels.count + Layout.columns - 1) / Layout.columns)
    var canvas = SVGCanvas(
      width: Layout.width, height: Layout.height + Double(rows - 1) * Layout.rowHeight)
    canvas.rectangle(
      at: SVGCanvas.Point(x: 0, y: 0), width: canvas.width, height: canvas.height,
      fill: Palette.background)
    drawHead(on: &canvas)
    let legendBottom = drawLegend(series, on: &canvas)
    let columns = max(1, min(kernels.count, Layout.columns))
    let cellWidth = (Layout.width - 2 * Layout.margin) / Double(columns)
    let cellHeight = (canvas.height - Layout.footHeight - legendBottom) / Double(rows)
    for (position, kernel) in kernels.enumerated() {
      let left = Layout.margin + Double(position % columns) * cellWidth
      let top = legendBottom + Double(position / columns) * cellHeight
      PlotPanel(
        self, kernel: kernel, series: series,
        left: left + Layout.tickWidth, right: left + cellWidth,
        top: top + Layout.titleHeight, bottom: top + cellHeight - Layout.axisHeight
      ).draw(on: &canvas)
    }
    drawFoot(on: &canvas)
    return canvas.document
  }

  private enum Layout {
    static let width = 960.0
    static let height = 600.0
    static let rowHeight = 400.0
    static let margin = 28.0
    static let columns = 3
    /// What surrounds the frame of a panel.
    static let tickWidth = 34.0
    static let titleHeight = 44.0
    static let axisHeight = 52.0
    static let footHeight = 58.0
    static let legendTop = 92.0
    static let legendRowHeight = 22.0
    static let sampleWidth = 34.0
  }

  private func drawHead(on canvas: inout SVGCanvas) {
    let hasSerial = results.contains { $0.mode == .serial }
    canvas.text(
      "Speed-up over \(hasSerial ? "one serial run" : "one worker process")",
      at: SVGCanvas.Point(x: Layout.margin, y: 42), SVGCanvas.TextStyle(size: 22, isBold: true))
    canvas.text(
      "class \(problemClass.rawValue), medians of \(Formatting.count(repetitions, "trial")), "
        + "bars from quartile to quartile"
        + (failures.isEmpty ? ", all results verified" : ""),
      at: SVGCanvas.Point(x: Layout.margin, y: 64),
      SVGCanvas.TextStyle(size: 13, color: Palette.faintText))
  }

  /// Returns where the legend ends.
  private func drawLegend(_ series: [PlotSeries], on canvas: inout SVGCanvas) -> Double {
    var x = Layout.margin
    var y = Layout.legendTop
    func place(_ title: String) -> SVGCanvas.Point {
      let width = Layout.sampleWidth + SVGCanvas.width(of: title, size: 13) + 28
      if x > Layout.margin, x + width > Layout.width - Layout.margin {
        x = Layout.margin
        y += Layout.legendRowHeight
      }
      defer { x += width }
      return SVGCanvas.Point(x: x, y: y)
    }
    func sample(_ title: String, _ stroke: SVGCanvas.Stroke) -> SVGCanvas.Point {
      let origin = place(title)
      let end = SVGCanvas.Point(x: origin.x + Layout.sampleWidth - 8, y: origin.y)
      canvas.line([origin, end], stroke)
      canvas.text(title, at: SVGCanvas.Point(x: end.x + 8, y: origin.y + 4.5))
      return SVGCanvas.Point(x: (origin.x + end.x) / 2, y: origin.y)
    }
    for item in series {
      let middle = sample(item.title, SVGCanvas.Stroke(color: item.color, width: 2.2))
      item.drawMarker(at: middle, on: &canvas)
    }
    _ = sample("ideal", PlotPanel.idealStroke)
    return y + 8
  }

  private func drawFoot(on canvas: inout SVGCanvas) {
    let style = SVGCanvas.TextStyle(size: 11, color: Palette.faintText)
    let limit = 160
    for (line, text) in [machine.hardwareText, machine.probeText + "; " + machine.loadText]
      .enumerated()
    {
      canvas.text(
        text.count > limit ? text.prefix(limit - 1) + "…" : text,
        at: SVGCanvas.Point(x: Layout.margin, y: canvas.height - 32 + 16 * Double(line)), style)
    }
  }
}
