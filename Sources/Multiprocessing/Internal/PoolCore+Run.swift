// One task and its caller: submit, spin for a moment, suspend, decode.

internal import CMultiprocessing

extension PoolCore {
  /// Runs one item on a worker.
  ///
  /// - Parameter isPlain: The arguments are plain bytes: `encode` runs no code of the user's, and may write
  ///   straight into the ring.
  func run<Output>(
    _ reference: BodyReference, isPlain: Bool, timeout: Duration?, _ decoder: @escaping ResultDecoder<Output>,
    _ encode: (inout ByteWriter, OutgoingTransfer) throws -> Void
  ) async throws -> Output {
    try Task.checkCancellation()
    try checkOpen()
    let body = try bodies.body(for: reference)
    let job = RunJob<Output>(decoder)
    let isTimed = needsTiming()
    let channel: WorkerChannel?
    if isPlain {
      let context = OutgoingTransfer()
      recordSubmitted(1)
      channel = withoutActuallyEscaping(encode) { encode in
        submit(
          Submission(body: body, job: job, first: 0, count: 1, isTimed: isTimed), spins: true,
          .direct { writer in try? encode(&writer, context) })
      }
    } else {
      let arguments = try EncodedArguments { try encode(&$0, $1) }
      recordSubmitted(1)
      channel = submit(
        Submission(
          body: body, job: job, first: 0, count: 1, isTimed: isTimed, mappings: arguments.mappings),
        spins: true, .encoded(arguments))
    }
    if let channel {
      spin(for: job, on: channel)
      channel.stopSpinning()
    }
    if !job.isDone { await wait(for: job, timeout: timeout ?? configuration.taskTimeout) }
    return try job.result()
  }

  private func spin<Output>(for job: RunJob<Output>, on channel: WorkerChannel) {
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

  private func wait<Output>(for job: RunJob<Output>, timeout: Duration?) async {
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
