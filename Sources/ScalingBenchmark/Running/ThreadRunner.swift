// The baseline that processes are compared with: threads of this process, bound to the same CPUs,
// that take the next task from a counter.

internal import ProcessorTopology
internal import Synchronization

struct ThreadRunner: TrialRunner {
  private let crew: ThreadCrew

  let workerCount: Int

  /// Starts one thread for each CPU set; an empty set leaves its thread unbound.
  init(cpuSets: [CPUSet]) async throws {
    crew = try await ThreadCrew(cpuSets: cpuSets)
    workerCount = cpuSets.count
  }

  func map<Task: KernelTask>(_ tasks: [Task]) async -> [Task.Output] {
    let slots = ResultSlots<Task.Output>(count: tasks.count)
    await crew.runOnAll { _ in
      while let index = slots.nextIndex() {
        slots.store(tasks[index].execute(), at: index)
      }
    }
    return slots.results
  }

  func broadcast(_ share: some KernelShare) async {
    let workerCount = workerCount
    await crew.runOnAll { part in share.execute(part: part, of: workerCount) }
  }

  func finish() async {
    crew.finish()
  }
}

/// The results of one `map`, and the counter that hands out its tasks.
private final class ResultSlots<Output: Sendable>: Sendable {
  private let next = Atomic<Int>(0)
  private let slots: Mutex<[Output?]>
  private let count: Int

  init(count: Int) {
    self.count = count
    slots = Mutex([Output?](repeating: nil, count: count))
  }

  /// The next task's number, each once; nil: all are taken.
  func nextIndex() -> Int? {
    let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
    return index < count ? index : nil
  }

  func store(_ output: Output, at index: Int) {
    slots.withLock { $0[index] = output }
  }

  /// All results, once every task has run.
  var results: [Output] {
    slots.withLock { $0.compactMap(\.self) }
  }
}
