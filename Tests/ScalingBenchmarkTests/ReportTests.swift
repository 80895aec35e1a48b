import Foundation
import ProcessorTopology
import Testing

@testable import ScalingBenchmark

@Suite struct ReportTests {
  private let wrong = Mismatch("sx", expected: 1.5, found: 2.5)

  // MARK: Model

  @Test("speed-up is the serial median over the median, efficiency that for each worker")
  func speedup() throws {
    let report = ScalingReport.fixture(workers: [1, 2, 4], kernels: [.ep])
    let result = try #require(
      report.results.first { $0.mode == .processes && $0.workers == 4 })
    let expected = UniversalScalabilityFit(sigma: 0.002, kappa: 0).capacity(workers: 4)
    #expect(abs(result.speedup - expected) < 1e-12)
    #expect(abs(result.efficiency - expected / 4) < 1e-12)
    #expect(abs(try #require(result.karpFlatt) - 0.002) < 1e-9)
    #expect(result.speedupRange.contains(result.speedup))
    let threads = try #require(report.results.first { $0.mode == .threads && $0.workers == 1 })
    #expect(abs(threads.speedup - 1 / 1.03) < 1e-12)
  }

  @Test("without a serial run, one process worker of the same placement is the base")
  func processBase() throws {
    let none = NamedPlacement(name: "none", placement: .none)
    let report = ScalingReport.fixture(
      workers: [1, 2], kernels: [.ep], placements: [.spread, none], baselines: [.threads])
    for result in report.results where result.mode == .processes && result.workers == 1 {
      #expect(result.speedup == 1)
    }
    let threads = try #require(
      report.results.first { $0.mode == .threads && $0.placement == "none" })
    #expect(abs(threads.speedup - 1.1 / 1.03) < 1e-12)
  }

  @Test("bandwidth is the traffic over the median, where the kernel has any")
  func bandwidth() throws {
    let report = ScalingReport.fixture(workers: [1], kernels: [.ep, .triad])
    let triad = try #require(report.results.first { $0.kernel == .triad && $0.mode == .serial })
    #expect(triad.bandwidth == 2e9)
    #expect(report.results.filter { $0.kernel == .ep }.allSatisfy { $0.bandwidth == nil })
  }

  @Test("the scalability law is fitted from four numbers of workers up, else the reason is given")
  func fits() throws {
    let few = ScalingReport.fixture(workers: [1, 2, 4], kernels: [.triad])
    #expect(few.fits.count == 2)
    #expect(
      few.fits[0].outcome
        == .omitted("needs 4 numbers of workers up to the 64 usable CPUs, has 3"))
    let withoutOne = ScalingReport.fixture(workers: [2, 4, 8, 16], kernels: [.triad])
    #expect(withoutOne.fits[0].outcome == .omitted("needs a run with one worker"))
    let many = ScalingReport.fixture(workers: [1, 2, 4, 8], kernels: [.triad])
    guard case .fitted(let law) = many.fits[1].outcome else {
      Issue.record("not fitted: \(many.fits[1].outcome)")
      return
    }
    #expect(abs(law.sigma - 0.25) < 1e-9)
    #expect(abs(law.kappa - 0.001) < 1e-9)
  }

  @Test("workers beyond the usable CPUs do not enter the fit")
  func oversubscribed() {
    let report = ScalingReport.fixture(workers: [1, 2, 64, 128], kernels: [.ep])
    #expect(
      report.fits[0].outcome
        == .omitted("needs 4 numbers of workers up to the 64 usable CPUs, has 3"))
  }

  @Test("a wrong result is said with kernel, configuration and value")
  func failures() {
    let report = ScalingReport.fixture(
      workers: [1, 2], kernels: [.ep], baselines: [.serial], mismatch: wrong)
    #expect(
      report.failureDescriptions == [
        "ep (class W, processes, 2 workers, spread) is wrong: sx is 2.5, expected 1.5"
      ])
  }

  // MARK: JSON

  @Test("JSON holds the machine and, for each result, the promised members")
  func json() throws {
    let report = ScalingReport.fixture(workers: [1, 2], mismatch: wrong)
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(report.json.utf8)) as? [String: Any])
    let machine = try #require(object["machine"] as? [String: Any])
    #expect(machine["cpu_model"] as? String == report.machine.cpuModel)
    let results = try #require(object["results"] as? [[String: Any]])
    #expect(results.count == report.results.count)
    for (written, result) in zip(results, report.results) {
      #expect(written["kernel"] as? String == result.kernel.rawValue)
      #expect(written["class"] as? String == "W")
      #expect(written["placement"] as? String == "spread")
      #expect(written["mode"] as? String == result.mode.rawValue)
      #expect(written["workers"] as? Int == result.workers)
      let numbers = [
        ("seconds_median", result.seconds.median), ("seconds_min", result.seconds.minimum),
        ("speedup", result.speedup), ("efficiency", result.efficiency),
        ("karp_flatt", result.karpFlatt),
      ]
      for (name, value) in numbers {
        // The reader of Foundation is off by some units in the last place.
        let number = written[name] as? Double
        #expect((number == nil) == (value == nil))
        #expect(abs((number ?? 0) - (value ?? 0)) < 1e-13, "\(name)")
      }
      #expect(written["verified"] as? Bool == result.isVerified)
      #expect((written["karp_flatt"] is NSNull) == (result.workers == 1))
    }
  }

  @Test("JSON strings are escaped, and numbers that JSON does not have become null")
  func jsonValues() throws {
    let value = JSONValue.object([
      ("a\"\\\n\t\r\u{01}é😀", .array([.number(.nan), .number(-.infinity), .number(1e-300)])),
      ("empty", .array([])), ("flag", .bool(false)), ("text", .string("\u{1F}/")),
    ])
    for levels in 0...3 {
      let parsed = try #require(
        try JSONSerialization.jsonObject(with: Data(value.text(expandedLevels: levels).utf8))
          as? [String: Any])
      let numbers = try #require(parsed["a\"\\\n\t\r\u{01}é😀"] as? [Any])
      #expect(numbers[0] is NSNull && numbers[1] is NSNull)
      #expect(numbers[2] as? Double == 1e-300)
      #expect((parsed["empty"] as? [Any])?.isEmpty == true)
      #expect(parsed["text"] as? String == "\u{1F}/")
    }
  }

  // MARK: CSV and text

  @Test("CSV has as many fields in each line as in its head, and quotes what holds a comma")
  func csv() throws {
    let report = ScalingReport.fixture(
      workers: [1, 2], kernels: [.ep], placements: [NamedPlacement(cpus: [0, 1])], baselines: [])
    let lines = report.csv.split(separator: "\n")
    #expect(lines.count == 3)
    #expect(lines[0].hasPrefix("kernel,class,placement,mode,workers,seconds_median,seconds_min,"))
    #expect(lines[1].hasPrefix("ep,W,\"cpus:0,1\",processes,1,1.0,0.97,"))
    #expect(lines[1].hasSuffix(",1.0,1.0,,,true"))
    let commas = lines.map { $0.filter { $0 == "," }.count }
    #expect(commas == [14, 15, 15])
  }

  @Test(
    "text fits 100 columns and says what was verified",
    arguments: [nil, Mismatch("sx", expected: 1, found: 2)])
  func text(mismatch: Mismatch?) {
    let report = ScalingReport.fixture(workers: [1, 2, 4, 8], mismatch: mismatch)
    let lines = report.text.split(separator: "\n", omittingEmptySubsequences: false)
    for line in lines { #expect(line.count <= 100, "\(line)") }
    #expect(report.text.contains("All results verified.") == (mismatch == nil))
    #expect(report.text.contains("  NO\n") == (mismatch != nil))
    #expect(report.text.contains("peak at"))
  }

  @Test(
    "numbers are rounded to the digits asked for",
    arguments: [
      (1.005, 0, "1"), (1.996, 2, "2.00"), (0.0004, 3, "0.000"), (-0.0004, 3, "0.000"),
      (-1.25, 1, "-1.3"), (0.05, 2, "0.05"), (123456.789, 1, "123456.8"), (.infinity, 1, "–"),
    ])
  func fixed(value: Double, digits: Int, expected: String) {
    #expect(Formatting.fixed(value, digits) == expected)
  }

  @Test(
    "byte counts take the largest unit that fits",
    arguments: [
      (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (32 << 20, "32 MiB"), (12 << 30, "12 GiB"),
    ])
  func bytes(count: Int, expected: String) {
    #expect(Formatting.bytes(count) == expected)
  }
}
