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
    guard let process, let last = numbers.last else { return }
    for number in numbers { process.command(MPROC_COMMAND_CANCEL, number: number) }
    guard let grace, let reactor = try? Reactor.shared() else { return }
    reactor.schedule(after: grace) { [weak self] in
      guard let self, isOutstanding(last) else { return }
      process.terminate(grace: grace)
    }
  }

  /// Cancels everything, and ends the process when that has not ended it in time.
  func cancelAll(grace: Duration) {
    let (entries, process) = lock.withLock { _ in
      (state.outstanding.all, state.process)
    }
    for entry in entries { entry.submission.job.endWith(.cancelled) }
    guard let process, !entries.isEmpty else { return }
    for entry in entries { process.command(MPROC_COMMAND_CANCEL, number: entry.number) }
    guard let reactor = try? Reactor.shared() else { return process.kill() }
    reactor.schedule(after: grace) { [weak self] in
      guard let self, outstandingCount > 0 else { return }
      process.kill()
    }
  }

  private func isOutstanding(_ number: UInt64) -> Bool {
    lock.withLock { _ in state.outstanding.all.contains { $0.number == number } }
  }

  // MARK: - Death

  /// The process has ended: takes its last completions, charges the item that ran, and gives back what was
  /// not begun, in order.
  func processEnded(_ status: ExitStatus) -> [PendingRecord] {
    var after = Aftermath()
    let rest = lock.withLock { _ -> [PendingRecord] in
      let wasOpen = state.isOpen
      if wasOpen { takeCompletions(&after) }
      state.isOpen = false
      live.store(false, ordering: .relaxed)
      let rest = closeOutstanding(status, &after)
      flush(&after)
      return rest
    }
    settle(after)
    return rest
  }

  private func closeOutstanding(
    _ status: ExitStatus, _ after: inout Aftermath
  ) -> [PendingRecord] {
    var rest: [PendingRecord] = []
    let accepted = unsafe mproc_channel_peer_accepted(channel)
    while !state.outstanding.isEmpty {
      let entry = state.outstanding.first
      let submission = entry.submission
      if entry.start == accepted {
        chargeCrash(status, &after)
        after.wake(submission.job)
      } else if !submission.job.wantsMore {
        let reason = submission.job.reasonForEnd() ?? .cancelled
        record(reason, &after)
        submission.job.fail(item: submission.first, reason)
        finish(skipped: submission.count - 1, &after)
        after.wake(submission.job)
      } else {
        rest.append(PendingRecord(submission, argumentBytes(of: entry)))
        state.outstanding.removeFirst()
      }
    }
    load.store(0, ordering: .relaxed)
    return rest
  }

  /// Keeps the results that the cursor counts; the item after them is the one that ran.
  private func chargeCrash(_ status: ExitStatus, _ after: inout Aftermath) {
    let entry = state.outstanding.first
    let submission = entry.submission
    savePartialResults(&after)
    let received = state.outstanding.first.received
    guard received < submission.count else { return finish(skipped: 0, &after) }
    let item = submission.first + received
    var report = CrashReport(
      processIdentifier: state.process?.pid ?? 0, workerIndex: index, exitStatus: status)
    if submission.job.reportsIndex { report.taskIndex = item }
    let reason = submission.job.reasonForEnd() ?? .crashed(report)
    record(reason, &after)
    submission.job.fail(item: item, reason)
    finish(skipped: submission.count - received - 1, &after)
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
