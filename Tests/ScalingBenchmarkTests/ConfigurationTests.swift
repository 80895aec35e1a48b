import ProcessorTopology
import Testing

@testable import ScalingBenchmark

@Suite struct ConfigurationTests {
  private let topology = CPUTopology.current

  private func error(
    _ change: (inout ScalingConfiguration) -> Void, usableCPUs: Int = 2
  ) -> ScalingError? {
    var configuration = ScalingConfiguration(
      kernels: [.ep], problemClass: .s, workers: [1], placements: [.spread], repetitions: 1)
    change(&configuration)
    do throws(ScalingError) {
      try configuration.validate(on: topology, usableCPUs: usableCPUs)
      return nil
    } catch {
      return error
    }
  }

  // MARK: Lists

  @Test(
    "worker lists hold numbers and ranges, sorted and once each",
    arguments: [
      ("1", [1]), ("4,1,2", [1, 2, 4]), ("1-4", [1, 2, 3, 4]), ("1-3,2,8", [1, 2, 3, 8]),
    ])
  func workers(text: String, expected: [Int]) throws {
    #expect(try ScalingConfiguration.workers(text) == expected)
  }

  @Test(
    "a worker list that cannot be read is refused",
    arguments: ["", "x", "1,", "4-1", "1-", "1-2-3", "1.5", "1-999999999999"])
  func malformedWorkers(text: String) {
    #expect(throws: ScalingError.self) { try ScalingConfiguration.workers(text) }
  }

  @Test(
    "zero and negative worker counts are refused by name",
    arguments: [("0", 0), ("-3", -3), ("0-4", 0)])
  func notPositive(text: String, count: Int) {
    #expect(throws: ScalingError.workerCountNotPositive(count)) {
      try ScalingConfiguration.workers(text)
    }
  }

  @Test("a CPU list in a list of placements ends with the next name")
  func placements() throws {
    let placements = try NamedPlacement.list("spread,cpus:3,0-1,none,cpus:5")
    #expect(placements.map(\.name) == ["spread", "cpus:3,0,1", "none", "cpus:5"])
    #expect(placements[1].placement == .explicit([[3], [0], [1]]))
    #expect(placements[0].placement == .spread)
    #expect(placements[2].placement == .none)
  }

  @Test(
    "a placement that does not exist is refused",
    arguments: ["", "wide", "spread,,none", "cpus:", "cpus:x", "cpus:0,1x", "3"])
  func malformedPlacements(text: String) {
    #expect(throws: ScalingError.self) { try NamedPlacement.list(text) }
  }

  @Test("kernels and baselines are read by name, and others are refused with what there is")
  func names() throws {
    #expect(try KernelName.list("triad,ep,triad") == [.triad, .ep])
    #expect(try ExecutionMode.baselines("threads") == [.threads])
    #expect(try ExecutionMode.baselines("none") == [])
    let kernel = #expect(throws: ScalingError.self) { try KernelName.list("ep,cg") }
    #expect(kernel?.description.contains("'cg' is not a kernel; there are ep, triad") == true)
    #expect(throws: ScalingError.self) { try ExecutionMode.baselines("processes") }
  }

  @Test(
    "default worker counts go from one to all, about twelve of them",
    arguments: [1, 2, 12, 13, 16, 64, 96, 256])
  func defaults(usableCPUs: Int) {
    let counts = ScalingConfiguration.defaultWorkers(usableCPUs: usableCPUs)
    #expect(counts.first == 1)
    #expect(counts.last == usableCPUs)
    #expect(counts.count <= 12)
    #expect(counts.count >= min(usableCPUs, 8))
    #expect(zip(counts, counts.dropFirst()).allSatisfy { $0 < $1 })
  }

  // MARK: Checks

  @Test("a configuration that can be measured passes")
  func valid() {
    #expect(error { _ in } == nil)
  }

  @Test("what cannot be measured is refused")
  func invalid() {
    #expect(error { $0.repetitions = 0 } == .repetitionsNotPositive(0))
    #expect(error { $0.workers = [1, -1] } == .workerCountNotPositive(-1))
    #expect(
      error { $0.workers = [1, 9] } == .tooManyWorkers(requested: 9, limit: 8, usableCPUs: 2))
    #expect(
      error({
        $0.workers = [2]
        $0.baselines = []
      }) == .noBase)
    #expect(
      error({
        $0.workers = [2]
        $0.placements = [.init(name: "none", placement: .none)]
      }) == nil)
    for change in [
      { $0.workers = [] }, { $0.kernels = [] }, { $0.placements = [] },
    ] as [(inout ScalingConfiguration) -> Void] {
      #expect(error(change) != nil)
    }
  }

  @Test("a CPU that this process may not use is refused, and the message names it")
  func unusableCPU() throws {
    let error = try #require(error { $0.placements = [NamedPlacement(cpus: [9999])] })
    #expect(error.description.contains("9999"))
    #expect(error.description.hasPrefix("--placements: cpus:9999"))
  }

  @Test("an explicit list with fewer CPUs than workers is refused")
  func tooFewCPUs() throws {
    let cpu = try #require(topology.allowed.first { _ in true })
    #expect(
      error({
        $0.workers = [1, 2]
        $0.placements = [NamedPlacement(cpus: [cpu])]
      })
        == .tooFewCPUs(placement: "cpus:\(cpu)", cpus: 1, workers: 2))
  }

  @Test("available memory is read in kibibytes")
  func memory() {
    #expect(
      MachineMemory.available(fromMeminfo: "MemTotal: 9 kB\nMemAvailable:   24 kB\n") == 24_576)
    #expect(MachineMemory.available(fromMeminfo: "MemTotal: 9 kB\n") == nil)
  }
}
