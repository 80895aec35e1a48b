// Who runs a kernel's work: one thread, several threads of this process, or the workers of a pool.
// A kernel sees nothing else of them, so the three are timed around the very same work.

/// A team that is ready to work: its workers exist and are bound to their CPUs.
protocol TrialRunner: Sendable {
  var workerCount: Int { get }

  /// Runs tasks, each on a worker that has nothing to do; results in the order of the tasks.
  func map<Task: KernelTask>(_ tasks: [Task]) async throws -> [Task.Output]

  /// Runs a share once on every worker.
  func broadcast(_ share: some KernelShare) async throws

  /// Ends the workers. The runner cannot be used any more.
  func finish() async
}

/// How a result was computed.
public enum ExecutionMode: String, Sendable, Hashable, CaseIterable {
  /// One thread and no handing out.
  case serial
  /// Threads of one process.
  case threads
  /// Worker processes of a pool.
  case processes
}

extension ExecutionMode {
  /// Reads a list of baselines such as "serial,threads"; "none" is the empty one.
  public static func baselines(_ text: String) throws(ScalingError) -> Set<ExecutionMode> {
    if text == "none" { return [] }
    var baselines: Set<ExecutionMode> = []
    for item in text.split(separator: ",", omittingEmptySubsequences: false) {
      guard let mode = ExecutionMode(rawValue: String(item)), mode != .processes else {
        throw .malformed(
          option: "--baselines", text: text,
          advice: "'\(item)' is no baseline; give serial, threads, both, as in serial,threads, or "
            + "none")
      }
      baselines.insert(mode)
    }
    return baselines
  }
}
