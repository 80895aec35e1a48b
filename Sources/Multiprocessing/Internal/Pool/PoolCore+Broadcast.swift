// One body on every worker.

extension PoolCore {
  /// Runs the body once on each worker; outcomes by worker index. A worker that is being replaced is waited
  /// for.
  func broadcast<R>(
    _ reference: BodyReference, _ receiver: () -> ResultReceiver?,
    _ encode: (inout ByteWriter, OutgoingTransfer) throws -> Void,
    _ decode: (inout ByteReader) throws -> R
  ) async throws -> [R] {
    try Task.checkCancellation()
    try queue.checkOpen()
    let body = try bodies.body(for: reference)
    let arguments = try EncodedArguments(encode)
    var jobs: [RunJob] = []
    startMissing()
    for index in 0..<workerCount {
      let job = RunJob(body, receiver(), isBound: true)
      let submission = Submission(
        job: job, first: 0, count: 1, isTimed: false,
        extras: RecordExtras.make(arguments.descriptors))
      ledger.recordSubmitted(1)
      jobs.append(job)
      await submit(PendingRecord(submission, arguments), toWorker: index)
    }
    let submitted = jobs
    await withTaskCancellationHandler {
      for job in submitted { await job.wait() }
    } onCancel: {
      for job in submitted { end(job, .cancelled) }
    }
    return try jobs.map { try $0.result(decode) }
  }

  func submit(_ record: PendingRecord, toWorker index: Int) async {
    if inProcess != nil { return enqueue(record) }
    while channel(index)?.submitPending(record, limit: Int.max) != .sent {
      if queue.isClosed { return fail([record], .error(queue.reason)) }
      if Task.isCancelled || !record.submission.isWanted || index >= workerCount {
        return fail([record], record.submission.job.reasonForEnd() ?? .cancelled)
      }
      startMissing()
      try? await Task.sleep(for: .milliseconds(1))
    }
    endIfMissed(record)
  }
}
