// Completions: what a worker sends back is checked against what was sent, and handed to the jobs.

internal import CMultiprocessing
internal import Synchronization

extension WorkerChannel {
  func takeCompletions(_ after: inout Aftermath) {
    var isSound = true
    var payload: UnsafeRawPointer?
    var size = 0
    var kind: UInt32 = 0
    var taken = false
    while isSound {
      let found = unsafe mproc_ring_peek(channel, &payload, &size, &kind)
      if found == 0 { break }
      taken = true
      let record = unsafe UnsafeRawBufferPointer(start: payload, count: size)
      isSound = unsafe found == 1 ? take(record, kind, &after) : false
      unsafe mproc_ring_consume(channel)
    }
    flush(&after)
    guard taken else { return }
    unsafe mproc_ring_publish_head(channel)
    if unsafe mproc_channel_peer_sleeps(channel, MPROC_WORD_HEAD) {
      _ = unsafe mproc_channel_wake(channel, MPROC_WORD_HEAD)
    }
    after.drained = true
    if !isSound {
      // It wrote nonsense into memory that it shares: as good as crashed.
      state.isDamaged = true
      state.phase = .closed
      live.store(false, ordering: .relaxed)
      state.process?.kill()
    }
  }

  /// Tells the ledger, then the job, what came in since the last time.
  func flush(_ after: inout Aftermath) {
    if pool.ledger.record(after.ledger) { after.becameIdle = true }
    after.ledger = PoolLedger.Change()
    guard let job = after.endedJob else { return }
    job.recordsEnded(after.endedRecords, items: after.endedItems)
    after.endedJob = nil
    after.endedRecords = 0
    after.endedItems = 0
  }

  /// One completion; false when it makes no sense.
  private func take(
    _ bytes: UnsafeRawBufferPointer, _ kind: UInt32, _ after: inout Aftermath
  ) -> Bool {
    var reader = unsafe ByteReader(bytes)
    guard !state.outstanding.isEmpty,
      let header = try? reader.readValue(as: CompletionHeader.self)
    else { return false }
    let first = Int(header.first)
    let count = Int(header.count)
    let expected = state.outstanding.first.submission.count
    guard header.number == state.outstanding.first.number,
      first == state.outstanding.first.received,
      count >= 1, count <= expected - first
    else { return false }
    var content = unsafe reader.unread
    if header.flags & CompletionHeader.hasTimes != 0 {
      guard unsafe takeTimes(&content) else { return false }
    }
    let job = state.outstanding.first.submission.job
    if kind == CompletionKind.values {
      let item = state.outstanding.first.submission.first + first
      // An item without a value ends its record as a failure.
      guard (header.flags & CompletionHeader.isLast != 0) == (first + count == expected),
        unsafe takeValues(header, content, job, item: item, &after)
      else { return false }
    } else {
      guard kind == CompletionKind.failure, header.flags & CompletionHeader.isLast != 0 else {
        return false
      }
      state.traffic.results += content.count
      endFront(item: first, .outcome(unsafe [UInt8](content)), &after)
      return true
    }
    state.outstanding.first.received += count
    if header.flags & CompletionHeader.isLast != 0 {
      if header.nanoseconds > 0 {
        let time = max(1, Int(header.nanoseconds) / expected)
        if !job.noteItemTime(time) { pool.noteItemTime(time) }
      }
      finish(&after)
      after.wake(job)
    }
    return true
  }

  /// Takes the times off the end of a completion.
  private func takeTimes(_ content: inout UnsafeRawBufferPointer) -> Bool {
    let size = content.count - MemoryLayout<RecordTimes>.size
    guard size >= 0 else { return false }
    state.frontTimes = unsafe content.loadUnaligned(fromByteOffset: size, as: RecordTimes.self)
    unsafe content = UnsafeRawBufferPointer(rebasing: content[..<size])
    return true
  }

  private func takeValues(
    _ header: CompletionHeader, _ inline: UnsafeRawBufferPointer, _ job: PoolJob, item: Int,
    _ after: inout Aftermath
  ) -> Bool {
    var bytes = unsafe inline
    if header.flags & CompletionHeader.isInArena != 0 {
      var reader = unsafe ByteReader(inline)
      var start: UnsafeRawPointer?
      guard let reference = try? reader.readValue(as: ArenaReference.self),
        reference.byteCount <= UInt64(Int.max),
        unsafe mproc_arena_view(results, reference.offset, reference.byteCount, &start) == 0
      else { return false }
      unsafe bytes = UnsafeRawBufferPointer(start: start, count: Int(reference.byteCount))
      state.arenaPosition = reference.position
    }
    let count = Int(header.count)
    // Before the job shows it: who sees the result also sees it in the ledger.
    if job.showsAtOnce {
      record(succeeded: count, &after)
    } else {
      after.ledger.succeeded += count
    }
    guard unsafe job.receive(first: item, count: count, bytes) else {
      // The item is charged when the process has been ended for it.
      if job.showsAtOnce {
        record(succeeded: -count, &after)
      } else {
        after.ledger.succeeded -= count
      }
      return false
    }
    if header.flags & CompletionHeader.isInArena != 0 {
      unsafe mproc_channel_set_arena_head(channel, state.arenaPosition)
      state.traffic.large += bytes.count
    }
    state.traffic.results += bytes.count
    state.finished += count
    return true
  }

  func record(succeeded count: Int, _ after: inout Aftermath) {
    var change = PoolLedger.Change()
    change.succeeded = count
    if pool.ledger.record(change) { after.becameIdle = true }
  }

  /// The front record is done, all but `returned` items in so many records: its place in the ring is free.
  func finish(_ after: inout Aftermath, returnedRecords: Int = 0, returnedItems: Int = 0) {
    if isTraced { traceFront(&after) }
    if let offset = state.outstanding.first.arenaOffset {
      _ = unsafe mproc_arena_release(arguments, offset)
    }
    unsafe mproc_ring_set_limit(channel, state.outstanding.first.end)
    let job = state.outstanding.first.submission.job
    if after.endedJob !== job {
      flush(&after)
      after.endedJob = job
    }
    after.endedRecords += 1 - returnedRecords
    after.endedItems += state.outstanding.first.submission.count - returnedItems
    state.outstanding.removeFirst()
    load.store(state.outstanding.count, ordering: .relaxed)
    if state.owesStop { payStop() }
    if !state.outstanding.isEmpty { noteNewFront() }
    if pool.isOnDemand, state.outstanding.isEmpty { state.idleSince = mproc_now_ns() }
  }
}
