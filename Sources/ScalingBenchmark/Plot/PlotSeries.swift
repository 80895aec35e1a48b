// The curves of a plot and how they are told apart: by colour and by marker, so that a black and
// white print can be read too.

/// One way of computing; the same in all panels.
struct PlotSeries: Sendable, Hashable {
  var mode: ExecutionMode
  var placement: String
  /// Its place in the legend.
  var index: Int

  var title: String { "\(mode.rawValue), \(placement)" }
  var color: String { Palette.series[index % Palette.series.count] }
  var marker: Marker { Marker.allCases[index % Marker.allCases.count] }

  enum Marker: CaseIterable {
    case circle
    case square
    case triangle
    case diamond
    case invertedTriangle
  }

  /// All series of a report, processes first.
  static func all(in report: ScalingReport) -> [PlotSeries] {
    var series: [PlotSeries] = []
    for mode in [ExecutionMode.processes, .threads] {
      for result in report.results where result.mode == mode {
        if series.contains(where: { $0.mode == mode && $0.placement == result.placement }) {
          continue
        }
        series.append(PlotSeries(mode: mode, placement: result.placement, index: series.count))
      }
    }
    return series
  }

  func results(in report: ScalingReport, of kernel: KernelName) -> [ScalingReport.Result] {
    report.results
      .filter { $0.kernel == kernel && $0.mode == mode && $0.placement == placement }
      .sorted { $0.workers < $1.workers }
  }

  static let markerRadius = 4.5

  /// Threads are hollow: a baseline stands behind what it is compared with.
  func drawMarker(
    at point: SVGCanvas.Point, radius: Double = Self.markerRadius, on canvas: inout SVGCanvas
  ) {
    let fill = mode == .processes ? color : Palette.background
    func polygon(_ offsets: [(Double, Double)]) {
      canvas.polygon(
        offsets.map { SVGCanvas.Point(x: point.x + radius * $0.0, y: point.y + radius * $0.1) },
        fill: fill, stroke: color)
    }
    switch marker {
    case .circle: canvas.circle(at: point, radius: radius, fill: fill, stroke: color)
    case .square: polygon([(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)])
    case .triangle: polygon([(0, -1.2), (1.1, 0.8), (-1.1, 0.8)])
    case .diamond: polygon([(0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)])
    case .invertedTriangle: polygon([(0, 1.2), (1.1, -0.8), (-1.1, -0.8)])
    }
  }
}
