// One kernel's curves in a frame with axes: speed-up over workers, the ideal as a dashed line, the
// quartiles as bars, and beside the last point of each curve its value.

struct PlotPanel {
  typealias Point = SVGCanvas.Point

  let kernel: KernelName
  let curves: [Curve]
  private let x: PlotScale
  private let y: PlotScale
  private let workerCounts: [Double]
  private let lastLabelX: Double
  /// The distance in pixels of the two numbers of workers that are closest to each other.
  private let closestDistance: Double

  struct Curve {
    var series: PlotSeries
    var results: [ScalingReport.Result]
  }

  /// How much room a label with a value takes.
  private static let labelWidth = 56.0
  private static let labelHeight = 14.0
  /// How far apart the points of neighbouring series at one number of workers are drawn at most,
  /// so that bars do not hide each other, and as a share of the distance to the next number: more
  /// would move curves visibly off their places.
  private static let largestOffset = 5.0
  private static let largestOffsetShare = 0.05

  /// - Parameters:
  ///   - left, right, top, bottom: The frame of the axes with the labels beside it.
  init(
    _ report: ScalingReport, kernel: KernelName, series: [PlotSeries],
    left: Double, right: Double, top: Double, bottom: Double
  ) {
    self.kernel = kernel
    curves = series.map { Curve(series: $0, results: $0.results(in: report, of: kernel)) }
      .filter { !$0.results.isEmpty }
    let results = curves.flatMap(\.results)
    workerCounts = Set(results.map { Double($0.workers) }).sorted()
    let last = max(2, workerCounts.last ?? 1)
    let highest = results.map(\.speedupRange.upperBound).reduce(last, max)
    let margin = 0.06 * (last - 1)
    lastLabelX = right - Self.labelWidth + 10
    x = PlotScale(values: 1 - margin...last + margin, start: left, end: right - Self.labelWidth)
    y = PlotScale(values: 0...1.06 * highest, start: bottom, end: top)
    let places = workerCounts.map(x.position)
    closestDistance =
      zip(places, places.dropFirst()).map { $1 - $0 }.min() ?? x.end - x.start
  }

  func draw(on canvas: inout SVGCanvas) {
    drawAxes(on: &canvas)
    drawIdeal(on: &canvas)
    // The first series is the one that matters, so it is drawn over the others.
    for curve in curves.reversed() { draw(curve, on: &canvas) }
    drawLabels(on: &canvas)
  }

  // MARK: - Parts

  private func drawAxes(on canvas: inout SVGCanvas) {
    canvas.text(
      title, at: Point(x: x.start, y: y.end - 14), SVGCanvas.TextStyle(size: 14, isBold: true))
    let ticks = y.ticks(about: 6)
    let digits = ticks.allSatisfy { $0 == $0.rounded() } ? 0 : 1
    for value in ticks {
      let height = y.position(value)
      canvas.line(
        [Point(x: x.start, y: height), Point(x: x.end, y: height)],
        SVGCanvas.Stroke(color: Palette.grid))
      canvas.text(
        Formatting.fixed(value, digits), at: Point(x: x.start - 8, y: height + 4),
        SVGCanvas.TextStyle(size: 12, color: Palette.faintText, anchor: .end))
    }
    canvas.line(
      [Point(x: x.start, y: y.start), Point(x: x.end, y: y.start)],
      SVGCanvas.Stroke(color: Palette.axis))
    for value in x.spaced(PlotScale.workerTicks(workerCounts), by: 22) {
      let place = x.position(value)
      canvas.line(
        [Point(x: place, y: y.start), Point(x: place, y: y.start + 5)],
        SVGCanvas.Stroke(color: Palette.axis))
      canvas.text(
        Formatting.fixed(value, 0), at: Point(x: place, y: y.start + 20),
        SVGCanvas.TextStyle(size: 12, color: Palette.faintText, anchor: .middle))
    }
    canvas.text(
      "workers", at: Point(x: (x.start + x.end) / 2, y: y.start + 40),
      SVGCanvas.TextStyle(size: 12, color: Palette.faintText, anchor: .middle))
  }

  private func drawIdeal(on canvas: inout SVGCanvas) {
    let last = x.values.upperBound
    canvas.line(
      [1, last].map { Point(x: x.position($0), y: y.position($0)) }, PlotPanel.idealStroke)
  }

  static let idealStroke = SVGCanvas.Stroke(color: Palette.axis, width: 1.4, dash: "6 5")

  private func draw(_ curve: Curve, on canvas: inout SVGCanvas) {
    let points = curve.results.map { point(of: $0, in: curve) }
    canvas.line(points, SVGCanvas.Stroke(color: curve.series.color, width: 2.2))
    for (result, point) in zip(curve.results, points) {
      let low = y.position(result.speedupRange.lowerBound)
      let high = y.position(result.speedupRange.upperBound)
      let stroke = SVGCanvas.Stroke(color: curve.series.color, width: 1.4)
      canvas.line([Point(x: point.x, y: low), Point(x: point.x, y: high)], stroke)
      for end in [low, high] {
        canvas.line([Point(x: point.x - 4, y: end), Point(x: point.x + 4, y: end)], stroke)
      }
      curve.series.drawMarker(at: point, radius: markerRadius, on: &canvas)
    }
  }

  /// The speed-up at the end of each curve, beside the frame.
  private func drawLabels(on canvas: inout SVGCanvas) {
    let ends = curves.compactMap { curve in curve.results.last.map { (curve, $0) } }
    let heights = LabelSpread.positions(
      ends.map { y.position($0.1.speedup) }, distance: Self.labelHeight, within: y.end...y.start)
    for ((curve, result), height) in zip(ends, heights) {
      canvas.text(
        Formatting.fixed(result.speedup, result.speedup < 10 ? 2 : 1) + "×",
        at: Point(x: lastLabelX, y: height + 4),
        SVGCanvas.TextStyle(size: 12, color: curve.series.color, isBold: true))
    }
  }

  // MARK: - Places and texts

  private func point(of result: ScalingReport.Result, in curve: Curve) -> Point {
    let middle = Double(curves.count - 1) / 2
    let position = curves.firstIndex { $0.series == curve.series }.map(Double.init) ?? middle
    return Point(
      x: x.position(Double(result.workers)) + (position - middle) * offset,
      y: y.position(result.speedup))
  }

  private var offset: Double {
    min(Self.largestOffset, Self.largestOffsetShare * closestDistance)
  }

  private var markerRadius: Double {
    closestDistance < 4 * PlotSeries.markerRadius ? 3 : PlotSeries.markerRadius
  }

  private var title: String {
    let isVerified = curves.allSatisfy { $0.results.allSatisfy(\.isVerified) }
    let name =
      switch kernel {
      case .ep: "EP: random numbers"
      case .triad: "Triad: memory"
      case .mandelbrot: "Mandelbrot: uneven tasks"
      case .stencil: "Stencil: shared edges"
      case .gups: "GUPS: random access"
      case .sort: "IS: integer sort"
      }
    return isVerified ? name : name + " (WRONG RESULTS)"
  }
}
