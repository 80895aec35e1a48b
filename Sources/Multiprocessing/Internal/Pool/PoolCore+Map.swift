// Many items and their caller, who feeds the workers, and takes results while there is nothing to feed.

internal import CMultiprocessing

extension PoolCore {
  /// Runs one body on many items; the job holds the results. Throws the first failure, once what was running
  /// has ended.
  func map<Output>(
    _ job: MapJob<Output>, underestimatedCount: Int, isLengthKnown: Bool, _ source: ItemSource
  ) async throws -> Int {
    try Task.checkCancellation()
    try queue.checkOpen()
    var feeder = Feeder(
      core: self, job: job,
      sizing: sizing(underestimatedCount: underestimatedCount, isLengthKnown: isLengthKnown))
    if isLengthKnown { job.reserve(underestimatedCount) }
    ledger.mapBegins()
    defer { ledger.mapEnds() }
    job.progress = ProgressReporter(
      configuration.progress, total: isLengthKnown ? underestimatedCount : nil, reactor)
    defer { job.progress?.finish(job) }
    await withTaskCancellationHandler {
      await pump(&feeder, job, source)
    } onCancel: {
      end(job, .cancelled)
    }
    if let error = feeder.error { throw error }
    if let failure = job.failure ?? job.reasonForEnd() { throw failure.error }
    return feeder.submitted
  }

  func sizing(underestimatedCount: Int, isLengthKnown: Bool) -> ChunkSizing {
    var sizing = ChunkSizing(
      setting: configuration.chunkSize, workers: workerCount, remaining: underestimatedCount,
      isLengthKnown: isLengthKnown)
    if let limit = configuration.maxTasksPerWorker { sizing.limit = limit }
    if configuration.taskTimeout != nil { sizing.limit = 1 }
    return sizing
  }

  /// Feeds the workers and takes results, until all is done or the job has something for its caller.
  func pump(_ feeder: inout Feeder, _ job: FedJob, _ source: ItemSource) async {
    if isOnDemand { startMissing() }
    var spinners = startSpinning()
    var idleSince: UInt64 = 0
    var rounds = 0
    while true {
      // A worker that was replaced is found soon enough, and asking costs an array.
      rounds += 1
      if rounds & 63 == 0, !feeder.isAtEnd { replaceLost(&spinners) }
      var progressed = feeder.feed(spinners, source)
      for channel in spinners where channel.drainIfAvailable() { progressed = true }
      if feeder.isAtEnd && job.isIdle || job.hasDeliveries { break }
      if progressed {
        idleSince = 0
        reportProgress(job, &spinners)
        // While the workers have enough to do, fewer and larger exchanges cost both sides less.
        if spinners.allSatisfy({ $0.outstandingCount > 64 }) {
          for _ in 0..<48 { mproc_pause() }
        }
        continue
      }
      if feeder.isAtEnd || !spinners.isEmpty, mayKeepSpinning(&idleSince) {
        for _ in 0..<16 { mproc_pause() }
        continue
      }
      for channel in spinners { channel.stopSpinning() }
      await waitForNews(job, forInput: feeder.isDry)
      spinners = startSpinning()
      idleSince = 0
    }
    for channel in spinners { channel.stopSpinning() }
  }

  /// Takes in the workers that came in place of others.
  private func replaceLost(_ spinners: inout [WorkerChannel]) {
    let living = channels()
    guard living.count != spinners.count || !zip(living, spinners).allSatisfy({ $0 === $1 }) else {
      return
    }
    for channel in living where !spinners.contains(where: { $0 === channel }) {
      channel.startSpinning()
    }
    for channel in spinners where !living.contains(where: { $0 === channel }) {
      channel.stopSpinning()
    }
    spinners = living
  }

  /// The workers whose bell this caller takes over while it is awake.
  func startSpinning() -> [WorkerChannel] {
    let channels = channels()
    for channel in channels { channel.startSpinning() }
    if channels.count == 1, callerSpin > 0 { _ = moveAway(from: channels[0]) }
    return channels
  }

  private func mayKeepSpinning(_ idleSince: inout UInt64) -> Bool {
    guard callerSpin > 0, hasSpareCPU else { return false }
    let now = mproc_now_ns()
    if idleSince == 0 { idleSince = now }
    return now - idleSince < callerSpin
  }
}
