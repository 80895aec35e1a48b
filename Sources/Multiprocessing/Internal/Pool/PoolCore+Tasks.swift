// Tasks that are submitted and awaited later.

internal import CMultiprocessing
internal import Synchronization

extension PoolCore {
  /// Submits one item without waiting for it.
  func submit(
    _ body: PoolBody, timeout: Duration?,
    _ encode: (inout ByteWriter, OutgoingTransfer) throws -> Void
  ) throws -> TaskJob {
    try queue.checkOpen()
    let job = TaskJob(body, nil)
    let arguments = try EncodedArguments(encode)
    let submission = Submission(
      job: job, first: 0, count: 1, isTimed: needsTiming(),
      extras: RecordExtras.make(arguments.descriptors))
    ledger.recordSubmitted(1)
    if let timeout = timeout ?? configuration.taskTimeout { end(job, after: timeout) }
    _ = unsafe arguments.withBytes { unsafe submit(submission, spins: false, $0) }
    // Its time may have been over before it was anywhere.
    if job.isEnded { end(job, .cancelled) }
    return job
  }

  private func end(_ job: TaskJob, after timeout: Duration) {
    let timer = reactor.schedule(after: timeout) { [weak self, weak job] in
      guard let self, let job else { return }
      end(job, .error(ProcessError.timedOut(timeout)))
    }
    let reactor = reactor
    job.whenDone { reactor.cancel(timer) }
  }

  /// Whether a worker has begun the job's only item.
  func isRunning(_ job: PoolJob) -> Bool { channels().contains { $0.isRunning(job) } }
}

extension WorkerChannel {
  /// Whether the worker has accepted a record of the job.
  fileprivate func isRunning(_ job: PoolJob) -> Bool {
    lock.withLock { _ in
      guard !state.outstanding.isEmpty, state.outstanding.first.submission.job === job else {
        return false
      }
      return unsafe mproc_channel_peer_accepted(channel) == state.outstanding.first.start
    }
  }
}
