// What comes back from a worker without having ended.

/// A part of a record that may run again.
struct ReturnedRecord {
  let record: PendingRecord
  /// How its only item failed; nil: its items have not run.
  let failure: ItemFailure?
}

extension PoolCore {
  /// Whether a part of a record may have to be sent again, its worker's death aside.
  var resendsItems: Bool { !configuration.retry.isNever }

  func mayRetry(_ failure: ItemFailure) -> Bool {
    !configuration.retry.isNever && configuration.retry.mayFollow(failure)
  }

  /// Sends it again, now or later, or ends it. Runs code of the user's: with no lock held.
  func takeBack(_ returned: ReturnedRecord) {
    let record = returned.record
    guard let failure = returned.failure else { return requeue(record) }
    let attempts = record.submission.extras?.attempts ?? 1
    guard record.submission.isWanted,
      let delay = configuration.retry.delay(after: attempts, failure.error)
    else { return fail([record], record.submission.job.reasonForEnd() ?? failure) }
    ledger.recordRetry()
    traceRetry(record.submission, attempts)
    if delay == .zero { return requeue(record) }
    guard let token = queue.delay(record) else { return fail([record], .error(queue.reason)) }
    // Cancelled meanwhile, it is no longer found under its token.
    reactor.schedule(after: delay) { [weak self] in
      guard let self, let record = queue.takeDelayed(token) else { return }
      requeue(record)
    }
    endIfMissed(record)
  }

  private func requeue(_ record: PendingRecord) {
    putBack([record])
    sendPendingToAll()
  }
}
