import ProcessorTopology
import Testing

@testable import ScalingBenchmark

@Suite struct BenchmarkTests {
  private let configuration = ScalingConfiguration(
    kernels: [.mandelbrot], problemClass: .s, workers: [1, 2],
    placements: [NamedPlacement(name: "none", placement: .none)], repetitions: 2)

  @Test("every kernel runs in every way that is compared, and all results are verified")
  func run() async throws {
    let row = MandelbrotRow(row: 0, side: 1, stepLimit: 20).execute()
    let benchmark = try ScalingBenchmark(
      configuration, on: .current,
      workloads: [
        Mandelbrot(side: 1, stepLimit: 20, expectedSteps: row),
        Triad(elementCount: 10_000, passCount: 2),
      ])
    var progress: [ScalingBenchmark.Progress] = []
    let report = try await benchmark.run { progress.append($0) }
    #expect(report.failureDescriptions == [])
    let ways = report.results.prefix(5).map { "\($0.mode) \($0.workers)" }
    #expect(ways == ["serial 1", "threads 1", "threads 2", "processes 1", "processes 2"])
    #expect(
      report.results.map(\.kernel)
        == [.mandelbrot, .triad].flatMap { Array(repeating: $0, count: 5) })
    #expect(report.results.allSatisfy { $0.seconds.minimum > 0 })
    #expect(progress.map(\.completedTrials) == Array(0..<20))
    #expect(progress.allSatisfy { $0.trialCount == 20 })
    #expect(progress[0].nextTrial == "mandelbrot, serial, none")
    // The second round goes the other way.
    #expect(progress[10].nextTrial == "mandelbrot, 2 processes, none")
  }

  @Test("a wrong result does not end the run, and the report names it")
  func wrong() async throws {
    let benchmark = try ScalingBenchmark(
      configuration, on: .current,
      workloads: [Mandelbrot(side: 4, stepLimit: 20, expectedSteps: -1)])
    let report = try await benchmark.run()
    #expect(report.results.count == 5)
    #expect(report.failures.count == 5)
    #expect(report.failureDescriptions[0].hasPrefix("mandelbrot (class S, serial, 1 worker, none)"))
  }

  @Test("a configuration that cannot be measured is refused before anything runs")
  func refused() {
    var configuration = configuration
    configuration.workers = [0]
    #expect(throws: ScalingError.workerCountNotPositive(0)) {
      try ScalingBenchmark(configuration)
    }
  }
}

@Suite struct MachineTests {
  @Test("the processor's name is read on x86 and put together on arm64")
  func cpuModel() {
    #expect(
      MachineDescription.cpuModel(
        fromCPUInfo: "processor\t: 0\nmodel name\t: A  B\n\nprocessor\t: 1\nmodel name\t: C\n")
        == "A  B")
    #expect(
      MachineDescription.cpuModel(fromCPUInfo: "CPU implementer\t: 0x41\nCPU part\t: 0xd0c\n")
        == "implementer 0x41 part 0xd0c")
    #expect(MachineDescription.cpuModel(fromCPUInfo: "") == nil)
  }

  @Test("load averages are read, and nothing from nothing")
  func load() {
    #expect(MachineDescription.load(fromText: "0.50 1.25 2.00 3/99 1234\n") == [0.5, 1.25, 2])
    #expect(MachineDescription.load(fromText: "") == [])
  }

  @Test("the probe gives a time for two CPUs and none for one")
  func probe() throws {
    var topology = CPUTopology.current
    if topology.allowed.intersection(topology.online).count > 1 {
      let probe = try #require(CacheLineProbe.measure(on: topology))
      #expect(probe.nanoseconds > 1)
      #expect(probe.cpus.count == 2)
    }
    topology.allowed = [try #require(topology.allowed.first { _ in true })]
    #expect(CacheLineProbe.measure(on: topology) == nil)
  }

  @Test("near and far are told apart by the level of the round trip")
  func levels() {
    #expect(CacheLineProbe(cpus: [0, 1], nanoseconds: 110).isNear)
    #expect(!CacheLineProbe(cpus: [0, 1], nanoseconds: 490).isNear)
  }
}
