// The end of a record before its time, and the end of the worker: asked for, or a death.

internal import CMultiprocessing
internal import Synchronization

extension WorkerChannel {
  // MARK: - Cancelling

  /// Asks the worker to end what it has of `job`, and ends the worker when it has not in time.
  func cancel(_ job: PoolJob, grace: Duration?) {
    let (numbers, process) = lock.withLock { _ in
      (
        state.outstanding.all.filter { $0.submission.job === job }.map(\.number), state.process
      )
    }
    if let process { end(numbers, process, grace: grace) }
  }

  /// Asks the worker to end these records, and ends the worker when it has not in time.
  func end(_ numbers: [UInt64], _ process: ManagedProcess, grace: Duration?) {
    guard let last = numbers.last else { return }
    for number in numbers { process.command(MPROC_COMMAND_CANCEL, number: number) }
    guard let grace, let reactor = try? Reactor.shared() else { return }
    reactor.schedule(after: grace) { [weak self] in
      guard let self, isOutstanding(last) else { return }
      terminate(process, grace: grace)
    }
  }

  /// Cancels everything, and ends the process when that has not ended it in time. Nothing is accepted from
  /// then on: it would not be cancelled.
  func cancelAll(grace: Duration) {
    let (entries, process) = lock.withLock { _ in
      state.isRefusing = true
      live.store(false, ordering: .relaxed)
      return (state.outstanding.all, state.process)
    }
    for entry in entries { entry.submission.job.endWith(.cancelled) }
    guard let process, !entries.isEmpty else { return }
    for entry in entries { process.command(MPROC_COMMAND_CANCEL, number: entry.number) }
    guard let reactor = try? Reactor.shared() else { return process.kill() }
    reactor.schedule(after: grace) { [weak self] in
      guard let self, outstandingCount > 0 else { return }
      noteKill()
      process.kill()
    }
  }

  private func isOutstanding(_ number: UInt64) -> Bool {
    lock.withLock { _ in state.outstanding.all.contains { $0.number == number } }
  }

  // MARK: - Death

  /// Whether the process has come so far that it takes tasks.
  var hasServed: Bool { unsafe mproc_channel_peer_cpu(channel) >= 0 }

  /// The process has ended: takes its last completions, charges the item that ran, and gives back what was
  /// not begun, in order.
  func processEnded(_ report: CrashReport) -> [PendingRecord] {
    var after = Aftermath()
    let rest = lock.withLock { _ -> [PendingRecord] in
      if state.phase != .closed { takeCompletions(&after) }
      state.phase = .closed
      live.store(false, ordering: .relaxed)
      let rest = closeOutstanding(report, &after)
      flush(&after)
      return rest
    }
    settle(after)
    return rest
  }

  private func closeOutstanding(
    _ report: CrashReport, _ after: inout Aftermath
  ) -> [PendingRecord] {
    var rest: [PendingRecord] = []
    let accepted = unsafe mproc_channel_peer_accepted(channel)
    while !state.outstanding.isEmpty {
      let entry = state.outstanding.first
      // What has brought results was begun, whatever a damaged worker says; so was what came before the record
      // that runs, where its completion made no sense.
      if entry.start <= accepted || entry.received > 0 {
        chargeCrash(report, &after)
      } else if entry.submission.isWanted {
        rest.append(PendingRecord(entry.submission, argumentBytes(of: entry)))
        state.outstanding.removeFirst()
      } else {
        endFront(item: 0, .cancelled, &after)
      }
    }
    load.store(0, ordering: .relaxed)
    return rest
  }

  /// Keeps the results that the cursor counts; the item after them is the one that ran.
  private func chargeCrash(_ report: CrashReport, _ after: inout Aftermath) {
    let submission = state.outstanding.first.submission
    savePartialResults(&after)
    let received = state.outstanding.first.received
    guard received < submission.count else {
      finish(&after)
      return after.wake(submission.job)
    }
    var report = report
    if submission.job.reportsIndex { report.taskIndex = submission.first + received }
    report.attempts = (received == 0 ? submission.extras?.attempts ?? 0 : 0) + 1
    endFront(item: received, .crashed(report), &after)
  }

  /// The front record ends with the failure of one of its items; those behind it have not run.
  func endFront(item: Int, _ failure: ItemFailure, _ after: inout Aftermath) {
    let entry = state.outstanding.first
    let failure = entry.isTimedOut ? timeoutFailure : failure
    state.frontFailure = (item, TraceEvent.Ending(failure))
    let submission = entry.submission
    let job = submission.job
    let rest = submission.count - item - 1
    let end = job.reasonForEnd()
    let retries = end == nil && !job.isBound && pool.mayRetry(failure)
    // What a damaged worker had begun it may have done: none of it runs again unasked.
    let goesOn =
      end == nil && rest > 0 && (job.continuesAfterFailure && !state.isDamaged || retries)
    if retries || goesOn {
      let record = PendingRecord(submission, argumentBytes(of: entry))
      if goesOn {
        after.returned.append(
          ReturnedRecord(record: record.part(item + 1, rest, attempts: 0), failure: nil))
      }
      if retries {
        let attempts = (item == 0 ? submission.extras?.attempts ?? 0 : 0) + 1
        after.returned.append(
          ReturnedRecord(record: record.part(item, 1, attempts: attempts), failure: failure))
      }
    }
    // What ends here: the item unless it may be retried, and the rest unless it goes on.
    var ended = submission
    ended.first += retries ? item + 1 : item
    ended.count = (retries ? 0 : 1) + (goesOn ? 0 : rest)
    if ended.count > 0 {
      let reason = end ?? failure
      if pool.ledger.record(PoolLedger.Change(ended, reason)) { after.becameIdle = true }
      job.fail(first: ended.first, count: ended.count, reason)
    }
    finish(
      &after, returnedRecords: (retries ? 1 : 0) + (goesOn ? 1 : 0),
      returnedItems: (retries ? 1 : 0) + (goesOn ? rest : 0))
    after.wake(job)
  }

  private func savePartialResults(_ after: inout Aftermath) {
    let entry = state.outstanding.first
    var items: UInt32 = 0
    var byteCount: UInt64 = 0
    unsafe mproc_channel_peer_cursor(channel, &items, &byteCount)
    let header = MemoryLayout<CompletionHeader>.size
    var payload: UnsafeRawPointer?
    guard Int(items) > entry.received, Int(items) <= entry.submission.count,
      byteCount >= UInt64(header),
      unsafe mproc_ring_peek_partial(channel, Int(byteCount), &payload) == 1,
      let payload = unsafe payload
    else { return }
    let count = Int(items) - entry.received
    let bytes = unsafe UnsafeRawBufferPointer(
      start: payload + header, count: Int(byteCount) - header)
    let head = unsafe payload.loadUnaligned(as: CompletionHeader.self)
    guard head.number == entry.number, Int(head.first) == entry.received,
      unsafe entry.submission.job.receive(
        first: entry.submission.first + entry.received, count: count, bytes)
    else { return }
    state.outstanding.first.received += count
    record(succeeded: count, &after)
  }

  /// The arguments of a record that the worker has not begun, from memory that it cannot write.
  private func argumentBytes(of entry: OutstandingRecords.Entry) -> EncodedArguments {
    let capacity = unsafe channel.pointee.own_capacity
    let offset = Int(entry.start & (capacity - 1)) + Int(MPROC_RECORD_HEADER_SIZE)
    let size = Int(entry.end - entry.start) - Int(MPROC_RECORD_HEADER_SIZE)
    let record = unsafe UnsafeRawBufferPointer(
      start: channel.pointee.own_ring + offset, count: size)
    let headerSize = MemoryLayout<TaskHeader>.size
    guard entry.arenaOffset != nil else {
      return unsafe EncodedArguments(
        copying: UnsafeRawBufferPointer(rebasing: record[headerSize...]))
    }
    let reference = unsafe record.loadUnaligned(fromByteOffset: headerSize, as: ArenaReference.self)
    var bytes: UnsafeRawPointer?
    let result = unsafe mproc_arena_view(arguments, reference.offset, reference.byteCount, &bytes)
    precondition(result == 0, "the application's own arena does not hold what was put there")
    return unsafe EncodedArguments(
      copying: UnsafeRawBufferPointer(start: bytes, count: Int(reference.byteCount)))
  }
}
