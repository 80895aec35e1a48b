// One task and its caller: submit, spin for a moment, suspend, decode.

internal import CMultiprocessing

/// Writes a call's arguments; without a context where they are plain bytes.
typealias ArgumentEncoder = (inout ByteWriter, OutgoingTransfer?) throws -> Void

extension PoolCore {
  /// Runs one item on a worker: `encode` writes the arguments, `decode` reads the result.
  func run<R>(
    _ body: PoolBody, timeout: Duration?, isPlain: Bool, _ receiver: ResultReceiver?,
    _ encode: ArgumentEncoder, _ decode: (inout ByteReader) throws -> R
  ) async throws -> R {
    let job = try start(body, isPlain: isPlain, receiver, encode)
    if !job.isDone { await wait(for: job, timeout: timeout ?? configuration.taskTimeout) }
    return try job.result(decode)
  }

  /// Submits one item, and spins for its result for a moment.
  private func start(
    _ body: PoolBody, isPlain: Bool, _ receiver: ResultReceiver?, _ encode: ArgumentEncoder
  ) throws -> RunJob {
    try Task.checkCancellation()
    try queue.checkOpen()
    let job = RunJob(body, receiver)
    return try unsafe withUnsafeTemporaryAllocation(byteCount: 512, alignment: 16) { scratch in
      var writer = unsafe ByteWriter(region: scratch)
      let context = isPlain ? nil : OutgoingTransfer()
      try encode(&writer, context)
      ledger.recordSubmitted(1)
      let submission = Submission(
        job: job, first: 0, count: 1, isTimed: needsTiming(),
        extras: context.flatMap { RecordExtras.make($0.descriptors) })
      if let channel = unsafe writer.withBytes({ unsafe submit(submission, spins: true, $0) }) {
        spin(for: job, on: channel)
        channel.stopSpinning()
      }
      return job
    }
  }

  private func spin(for job: RunJob, on channel: WorkerChannel) {
    let limit = callerSpin
    var end: UInt64 = 0
    while !job.isDone {
      for _ in 0..<200 {
        if channel.hasCompletions { break }
        mproc_pause()
      }
      if channel.drainIfAvailable(), job.isDone { return }
      let now = mproc_now_ns()
      if end == 0 { end = now + limit } else if now > end { return }
    }
  }

  private func wait(for job: RunJob, timeout: Duration?) async {
    var timer: Reactor.Token?
    let reactor = try? Reactor.shared()
    if let timeout {
      timer = reactor?.schedule(after: timeout) { [weak self, weak job] in
        guard let self, let job else { return }
        end(job, .error(ProcessError.timedOut(timeout)))
      }
    }
    await withTaskCancellationHandler {
      await job.wait()
    } onCancel: {
      end(job, .cancelled)
    }
    if let timer { reactor?.cancel(timer) }
  }
}
