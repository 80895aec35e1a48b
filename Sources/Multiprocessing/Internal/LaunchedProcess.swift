// A process between its start and the moment when it is set up.

internal import CMultiprocessing
internal import ProcessorTopology

/// A process that has been started and sets itself up.
struct LaunchedProcess {
  private let process: mproc_process
  private let origin: ManagedProcess.Origin
  private let reactor: Reactor
  private let options: ProcessOptions
  private let acceptsNarrowing: Bool
  /// Whether it runs a preload body first.
  private let preloads: Bool

  init(
    _ process: mproc_process, _ origin: ManagedProcess.Origin, _ reactor: Reactor,
    _ request: StartRequest
  ) {
    self.process = process
    self.origin = origin
    self.reactor = reactor
    options = request.options
    acceptsNarrowing = request.acceptsNarrowing
    if case .application = origin { preloads = request.preload != nil } else { preloads = false }
  }

  /// Waits until the process is set up, or throws what it could not do; then it has ended. `crashReport` is
  /// asked where it ended in a preload body.
  func finish(
    _ crashReport: (ExitStatus) -> CrashReport = {
      CrashReport(processIdentifier: 0, workerIndex: nil, exitStatus: $0, evidence: nil)
    }
  ) throws(ProcessError) -> ManagedProcess {
    do throws(ProcessError) {
      let answers = AnswerReader(process)
      let effective = try answers.ready(options)
      if let requested = options.affinity, !acceptsNarrowing, !requested.isSubset(of: effective) {
        throw ProcessError.invalidConfiguration(
          "\(CPUAffinity.narrowing(of: requested, to: effective))")
      }
      if preloads {
        try Preload.checkResult(try answers.result("the preload body", crashReport))
      }
      return ManagedProcess(process, origin, effective, reactor)
    } catch {
      abandon()
      throw error
    }
  }

  /// Ends and reaps the process.
  func abandon() {
    let managed = ManagedProcess(process, origin, [], reactor)
    managed.kill()
    // What it had sent already comes all the same.
    try? unsafe managed.listen(
      ManagedProcess.Listener(
        message: { _, descriptor in if let descriptor { _ = mproc_close(descriptor) } },
        ended: { _ in }))
  }
}
