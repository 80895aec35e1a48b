// The serial baseline: a loop over the tasks in one bound thread, with nothing between the tasks.

internal import ProcessorTopology
internal import Synchronization

struct SerialRunner: TrialRunner {
  private let crew: ThreadCrew

  let workerCount = 1

  init(cpus: CPUSet) async throws {
    crew = try await ThreadCrew(cpuSets: [cpus])
  }

  func map<Task: KernelTask>(_ tasks: [Task]) async -> [Task.Output] {
    let results = Mutex<[Task.Output]>([])
    await crew.runOnAll { _ in
      let outputs = tasks.map { $0.execute() }
      results.withLock { $0 = outputs }
    }
    return results.withLock { $0 }
  }

  func broadcast(_ share: some KernelShare) async {
    await crew.runOnAll { _ in share.execute(part: 0, of: 1) }
  }

  func finish() async {
    crew.finish()
  }
}
