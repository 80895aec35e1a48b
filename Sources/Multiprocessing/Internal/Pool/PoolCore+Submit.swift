// From a submission to a worker: straight to an idle one, or through the queue.

internal import CMultiprocessing
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

  /// Puts records that were taken from the queue, or from a worker, ahead of what waits.
  func putBack(_ records: [PendingRecord]) {
    guard queue.putBack(records) else { return fail(records, .error(queue.reason)) }
    for record in records { endIfMissed(record) }
  }

  /// Ends a job again that was ended while one of its records was in a hand, where nobody found it.
  func endIfMissed(_ record: PendingRecord) {
    let job = record.submission.job
    if job.isEnded { end(job, .cancelled) }  // The first reason counts.
  }

  /// After something was put into the queue: who takes a worker's last completion looks into the queue, who
  /// puts something into the queue looks at all workers.
  func sendPendingToAll() {
    // A Dekker pair with the drain of completions, which fences after `outstandingCount` was stored
    // (mproc_channel_peer_sleeps); the locks on both ways order less: docs/DESIGN.md, section 5.
    mproc_fence_full()
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
      case .sent: endIfMissed(record)
      case .impossible:
        fail([record], .error(ProcessError.noSharedMemory(record.arguments.byteCount)))
      case .full:
        putBack([record])
        mproc_fence_full()
        // Who took the worker's last completion meanwhile found nothing waiting: then it takes this one.
        if channel.outstandingCount > 0 { return }
      case .dead:
        putBack([record])
        // Who started another worker meanwhile, or had one to do something, found nothing waiting either.
        return sendPendingToAll()
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
