// One body on every worker.

extension PoolCore {
  /// Runs the body once on each worker; outcomes by worker index. A worker that is being replaced is waited
  /// for.
  func broadcast<Output>(
    _ reference: BodyReference, _ decoder: @escaping ResultDecoder<Output>,
    _ encode: (inout ByteWriter, OutgoingTransfer) throws -> Void
  ) async throws -> [Output] {
    try Task.checkCancellation()
    try checkOpen()
    let body = try bodies.body(for: reference)
    let arguments = try EncodedArguments { try encode(&$0, $1) }
    var jobs: [RunJob<Output>] = []
    for index in 0..<workerCount {
      let job = RunJob<Output>(decoder)
      let submission = Submission(
        body: body, job: job, first: 0, count: 1, isTimed: false, mappings: arguments.mappings)
      let record = PendingRecord(submission, arguments)
      recordSubmitted(1)
      jobs.append(job)
      while true {
        if channel(index)?.submitPending(record, limit: Int.max) == .sent { break }
        if isClosed || Task.isCancelled {
          fail(record, .cancelled)
          break
        }
        try? await Task.sleep(for: .milliseconds(1))
      }
    }
    let submitted = jobs
    await withTaskCancellationHandler {
      for job in submitted { await job.wait() }
    } onCancel: {
      for job in submitted { end(job, .cancelled) }
    }
    return try jobs.map { try $0.result() }
  }
}
