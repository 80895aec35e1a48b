import Foundation
import ProcessorTopology
import Testing

@testable import ScalingBenchmark

#if canImport(FoundationXML)
  import FoundationXML
#endif

/// Collects what a plot shows.
private final class Reader: NSObject, XMLParserDelegate {
  var texts: [String] = []
  var counts: [String: Int] = [:]
  private var isText = false

  func parser(
    _ parser: XMLParser, didStartElement name: String, namespaceURI: String?,
    qualifiedName: String?, attributes: [String: String]
  ) {
    counts[name, default: 0] += 1
    isText = name == "text"
    if isText { texts.append("") }
  }

  func parser(_ parser: XMLParser, foundCharacters string: String) {
    if isText { texts[texts.count - 1] += string }
  }

  func parser(
    _ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?
  ) {
    isText = false
  }
}

@Suite struct PlotTests {
  private func read(_ svg: String) throws -> Reader {
    let reader = Reader()
    let parser = XMLParser(data: Data(svg.utf8))
    parser.delegate = reader
    try #require(parser.parse(), "\(String(describing: parser.parserError))")
    return reader
  }

  @Test(
    "the plot is well-formed XML for any number of workers, kernels and placements",
    arguments: [[1], [1, 2], [2], Array(1...16), [1, 2, 3, 4, 16, 64]],
    [KernelName.allCases, [.triad]])
  func wellFormed(workers: [Int], kernels: [KernelName]) throws {
    let placements = [.spread, NamedPlacement(name: "<&\">", placement: .none)]
    let report = ScalingReport.fixture(workers: workers, kernels: kernels, placements: placements)
    let reader = try read(report.svg)
    #expect(reader.counts["svg"] == 1)
    #expect(reader.texts.contains("processes, <&\">"))
    #expect(reader.texts.contains { $0.contains("Test <CPU> \"9\" & more") })
    // A marker for each point of a series with circles, and one in the legend.
    #expect(reader.counts["circle"] == kernels.count * workers.count + 1)
    #expect(!report.svg.contains("nan"))
    #expect(!report.svg.contains("–"))
  }

  @Test("the value at the end of each curve is written beside it, and wrong results are marked")
  func labels() throws {
    let right = try read(ScalingReport.fixture(workers: [1, 2], kernels: [.triad]).svg)
    #expect(right.texts.contains("1.60×"))
    #expect(!right.texts.contains { $0.contains("WRONG") })
    let mismatch = Mismatch("a[0]", expected: 1, found: 2)
    let wrong = try read(
      ScalingReport.fixture(workers: [1, 2], kernels: [.triad], mismatch: mismatch).svg)
    #expect(wrong.texts.contains { $0.contains("WRONG") })
  }

  @Test("labels that would touch are moved apart, in order and within bounds")
  func spread() {
    let moved = LabelSpread.positions([50, 51, 10, 99], distance: 14, within: 0...100)
    #expect(moved == [50, 64, 10, 99])
    let crowded = LabelSpread.positions([95, 96, 97], distance: 14, within: 0...100)
    #expect(crowded == [72, 86, 100])
  }

  @Test(
    "ticks are round numbers within the axis",
    arguments: [
      (0.0...2.12, [0, 0.5, 1, 1.5, 2]), (0...17, [0, 5, 10, 15]), (0...68, [0, 20, 40, 60]),
    ])
  func ticks(values: ClosedRange<Double>, expected: [Double]) {
    #expect(PlotScale(values: values, start: 0, end: 100).ticks(about: 6) == expected)
  }

  @Test("few numbers of workers all have ticks, many have multiples of a power of two")
  func workerTicks() {
    #expect(PlotScale.workerTicks([1, 2, 3, 6]) == [1, 2, 3, 6])
    #expect(PlotScale.workerTicks((1...16).map(Double.init)) == [1, 2, 4, 6, 8, 10, 12, 14, 16])
    #expect(PlotScale.workerTicks((1...30).map(Double.init)) == [1, 4, 8, 12, 16, 20, 24, 28, 30])
  }

  @Test("ticks too close to each other are left out, never the last")
  func spacing() {
    let scale = PlotScale(values: 0...64, start: 0, end: 200)
    #expect(scale.spaced([1, 2, 3, 4, 16, 32, 64], by: 24) == [4, 16, 32, 64])
  }
}
