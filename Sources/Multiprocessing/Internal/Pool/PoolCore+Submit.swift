// From a submission to a worker: straight to an idle one, or through the queue.

internal import Synchronization

extension PoolCore {
  /// Sends to the first idle worker, or queues. The channel, when the caller is to spin on it.
  func submit(
    _ submission: Submission, spins: Bool, _ arguments: UnsafeRawBufferPointer
  ) -> WorkerChannel? {
    if queue.isEmpty {
      let (idle, busy) = idleWorker()
      if let idle {
        let spins = spins && maySpin(on: idle, busy: busy)
        if unsafe idle.submit(submission, limit: 1, spins: spins, arguments) == .sent {
          return spins ? idle : nil
        }
      }
    }
    enqueue(PendingRecord(submission, unsafe EncodedArguments(copying: arguments)))
    return nil
  }

  /// The first worker with nothing to do, and how many have something.
  private func idleWorker() -> (WorkerChannel?, busy: Int) {
    slots.withLock { slots in
      var idle: WorkerChannel?
      var busy = 0
      slots.forEach { channel in
        if channel.outstandingCount > 0 {
          busy += 1
        } else if idle == nil, channel.isLive {
          idle = channel
        }
      }
      return (idle, busy)
    }
  }

  func enqueue(_ record: PendingRecord) {
    guard queue.append(record) else { return fail([record], .error(queue.reason)) }
    sendPendingToAll()
  }

  func sendPendingToAll() {
    for channel in channels() where channel.isLive && channel.outstandingCount < depth {
      sendPending(to: channel)
    }
    inProcess?.kick(self)
    // Of a pool that is being drained, too: a map may still need workers.
    if !queue.isEmpty { startMissing(queue.waitingCount) }
  }

  /// How many records of single tasks a worker may have: more than one only when tasks are short, so that
  /// none waits behind a long one.
  private var depth: Int {
    let time = itemTime.load(ordering: .relaxed)
    return time > 0 && time < 50_000 ? 8 : 1
  }

  /// Gives a worker what waits, as far as it takes it.
  func sendPending(to channel: WorkerChannel) {
    while channel.outstandingCount < depth, let record = queue.takeFirst() {
      guard record.submission.isWanted else {
        fail([record], record.submission.job.reasonForEnd() ?? .cancelled)
        continue
      }
      switch channel.submitPending(record, limit: depth) {
      case .sent: continue
      case .impossible:
        fail([record], .error(ProcessError.noSharedMemory(record.arguments.byteCount)))
      case .full, .dead:
        if !queue.putBack([record]) { fail([record], .error(queue.reason)) }
        return
      }
    }
  }

  /// Ends records that are not sent.
  func fail(_ records: [PendingRecord], _ failure: ItemFailure) {
    for record in records {
      let submission = record.submission
      let isIdle = ledger.record(PoolLedger.Change(submission, failure))
      submission.job.fail(first: submission.first, count: submission.count, failure)
      submission.job.recordsEnded(1, items: submission.count)
      submission.job.wake()
      if isIdle { ledger.wakeWaiters() }
    }
  }

  /// Ends what is left of a job with `reason`: at once what waits, in the workers as cancellation does.
  func end(_ job: PoolJob, _ reason: ItemFailure) {
    noteDeadline(reason)
    job.endWith(reason)
    fail(queue.remove(job), job.reasonForEnd() ?? .cancelled)
    for channel in channels() { channel.cancel(job, grace: configuration.cancellationGrace) }
    inProcess?.cancel(job)
  }
}

extension ProcessError {
  static func noSharedMemory(
    _ byteCount: Int, for what: String = "arguments"
  ) -> ProcessError {
    .notTransferable(
      TransferFailure(
        typeName: "\(what) of \(byteCount) bytes", reason: "there is no shared memory for so many",
        cure: "send less at once, or raise the limit on memory"))
  }
}
