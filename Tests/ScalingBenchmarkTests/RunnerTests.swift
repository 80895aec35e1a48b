import Multiprocessing
import ProcessorTopology
import Synchronization
import Testing

@testable import ScalingBenchmark

/// Squares its number and says which CPUs it ran on.
private struct Probe: KernelTask {
  var number: Int

  struct Output: Codable, Sendable, Hashable {
    var square: Int
    var affinity: CPUSet
  }

  func execute() -> Output {
    Output(square: number * number, affinity: CPUAffinity.current)
  }

  static func map(_ tasks: [Probe], on pool: ProcessPool) async throws -> [Output] {
    try await pool.map(tasks) { $0.execute() }
  }
}

/// Adds one to its part of an array.
private struct Touch: KernelShare {
  var array: SharedArray<Int>

  func execute(part: Int, of partCount: Int) {
    array[part] += partCount
  }

  static func broadcast(_ share: Touch, partCount: Int, on pool: ProcessPool) async throws {
    try await pool.broadcast(share, partCount) { share, partCount in
      share.execute(part: CurrentProcess.workerIndex ?? 0, of: partCount)
    }
  }
}

@Suite struct RunnerTests {
  private var firstCPU: CPUSet {
    get throws { [try #require(CPUTopology.current.allowed.first { _ in true })] }
  }

  private func check(_ runner: some TrialRunner, boundTo cpus: CPUSet?) async throws {
    let outputs = try await runner.map((0..<100).map(Probe.init))
    #expect(outputs.map(\.square) == (0..<100).map { $0 * $0 })
    if let cpus { #expect(outputs.allSatisfy { $0.affinity == cpus }) }
    #expect(try await runner.map([Probe]()).isEmpty)
    let array = try SharedArray<Int>(count: runner.workerCount)
    try await runner.broadcast(Touch(array: array))
    for index in 0..<runner.workerCount { #expect(array[index] == runner.workerCount) }
  }

  @Test("the serial runner runs every task in order, bound to its CPUs")
  func serial() async throws {
    let runner = try await SerialRunner(cpus: firstCPU)
    try await check(runner, boundTo: firstCPU)
    await runner.finish()
  }

  @Test("threads run every task and every part once, bound to their CPUs")
  func threads() async throws {
    let runner = try await ThreadRunner(cpuSets: [firstCPU, firstCPU, firstCPU])
    try await check(runner, boundTo: firstCPU)
    await runner.finish()
  }

  @Test("worker processes run every task and every part once")
  func processes() async throws {
    let runner = try await ProcessRunner(workers: 2, placement: .none)
    try await check(runner, boundTo: nil)
    await runner.finish()
  }

  @Test("threads that cannot be bound are an error, and leave no thread waiting")
  func unusableCPU() async throws {
    await #expect(throws: PlacementError.self) {
      _ = try await ThreadRunner(cpuSets: [[], [9999]])
    }
  }

  @Test("the warm-up takes tasks from the whole problem, two a worker at least")
  func sample() {
    let kernel = Mandelbrot(side: 160, stepLimit: 1, expectedSteps: 0)
    #expect(
      kernel.sample(of: Array(0..<160), workerCount: 1)
        == stride(from: 0, to: 160, by: 16).map { $0 })
    #expect(kernel.sample(of: Array(0..<160), workerCount: 40).count == 80)
    #expect(kernel.sample(of: [1, 2, 3], workerCount: 40) == [1, 2, 3])
  }
}
