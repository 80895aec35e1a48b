// Cuts the input of one map or stream into records, and gives them to the workers.
//
// Only the caller's own task iterates the inputs and encodes them, so neither need be Sendable.

internal import CMultiprocessing

/// What a source had to give.
enum Pulled {
  case items(Int)
  /// None is there now, but the input has not ended.
  case nothingYet
  case end
}

/// Writes up to so many items. Stops early once the draft holds `ChunkSizing.byteLimit` bytes.
typealias ItemSource = (_ limit: Int, inout RecordDraft) throws -> Pulled

/// Records that are being written, one after the other.
struct RecordDraft: ~Copyable {
  var writer: ByteWriter
  let context = OutgoingTransfer()
  /// Where the items of the record end, where that is kept and the items differ.
  private(set) var itemEnds: [Int] = []
  /// The size of each item, where all have the same.
  var itemSize: Int?
  /// Whether a part of a record may have to be sent again.
  let keepsBoundaries: Bool

  init(_ scratch: UnsafeMutableRawBufferPointer, keepsBoundaries: Bool) {
    writer = unsafe ByteWriter(region: scratch)
    self.keepsBoundaries = keepsBoundaries
  }

  var isFull: Bool { writer.count >= ChunkSizing.byteLimit }

  /// An item has been written whole.
  mutating func itemEnded() {
    if keepsBoundaries { itemEnds.append(writer.count) }
  }

  var boundaries: ItemBoundaries? {
    guard keepsBoundaries else { return nil }
    return itemSize.map { .uniform($0) } ?? .ends(itemEnds)
  }

  /// Forgets an item of which a part may have been written; how many whole ones there are.
  mutating func dropPartialItem() -> Int {
    writer.truncate(to: itemEnds.last ?? 0)
    return itemEnds.count
  }
}

/// Feeds one job.
@safe
struct Feeder: ~Copyable {
  private let core: PoolCore
  private let job: FedJob
  private let window: Int?
  private var sizing: ChunkSizing
  private let scratch: UnsafeMutableRawBufferPointer
  private let keepsBoundaries: Bool
  /// Where the records of a batch end; kept for its memory.
  private var recordEnds: [Int] = []
  /// The last worker did not take all that it was sent.
  private var overflowed = false
  /// The input has nothing now.
  private(set) var isDry = false
  /// Items submitted so far.
  private(set) var submitted = 0
  /// No more is to be submitted: the input has ended, or something has failed.
  private(set) var isAtEnd = false
  /// The job was over, and what it had submitted by then was ended.
  private var hasEndedRest = false
  /// What the input's own code threw.
  private(set) var error: (any Error)?

  init(core: PoolCore, job: FedJob, sizing: ChunkSizing) {
    self.core = core
    self.job = job
    self.sizing = sizing
    window = core.configuration.window
    keepsBoundaries = job.continuesAfterFailure || core.resendsItems
    unsafe scratch = .allocate(byteCount: 2 * ChunkSizing.byteLimit, alignment: 16)
  }

  deinit {
    unsafe scratch.deallocate()
  }

  /// Gives each worker what it may have; whether anything was sent.
  mutating func feed(_ channels: [WorkerChannel], _ source: ItemSource) -> Bool {
    if !hasEndedRest, job.isComplete {
      hasEndedRest = true
      isAtEnd = true
      // Who ended the job may have done so while this submitted the last of it.
      if job.isEnded || job.endsAtFailure { core.end(job, .cancelled) }
    }
    isDry = false
    var sent = false
    for channel in channels where canGoOn && channel.isLive {
      let itemTime = job.itemTime
      let chunk = sizing.chunk(itemTime: itemTime, window: window)
      let depth = sizing.depth(chunk: chunk, itemTime: itemTime)
      while canGoOn {
        let free = depth - channel.outstandingCount
        // A long queue is refilled when a quarter of it has gone.
        guard free > depth / 4 || free > 0 && depth < 16 else { break }
        let room = min(
          free, job.freeRecords(chunk: chunk, window: window, workers: sizing.workers))
        guard room > 0, send(chunk, records: room, to: channel, source) else { break }
        sent = true
        // What it did not take waits for the next worker; more would only pile up.
        if overflowed { break }
      }
    }
    if canGoOn, !sent, job.isIdle, !job.hasDeliveries {
      // No worker takes anything now, and nothing of the job is there whose end would be news: this waits for
      // the first one that does.
      sent = send(1, records: 1, to: nil, source)
    }
    return sent
  }

  private var canGoOn: Bool { !isAtEnd && !isDry }

  /// Encodes up to `records` records, and sends them; false when there was nothing to send.
  private mutating func send(
    _ chunk: Int, records: Int, to channel: WorkerChannel?, _ source: ItemSource
  ) -> Bool {
    var draft = unsafe RecordDraft(scratch, keepsBoundaries: keepsBoundaries)
    recordEnds.removeAll(keepingCapacity: true)
    var count = 0
    var last = 0
    var failure: (any Error)?
    do {
      repeat {
        last = 0
        switch try source(chunk, &draft) {
        case .items(let items): last = items
        case .nothingYet: isDry = true
        case .end: isAtEnd = true
        }
        if last == 0 { break }
        count += last
        recordEnds.append(draft.writer.count)
        // All records of a batch but its last have the same size. Those whose items may differ go alone.
      } while last == chunk && recordEnds.count < records && !draft.isFull
        && (!keepsBoundaries || draft.itemSize != nil)
    } catch {
      guard job.continuesAfterFailure else {
        // What was encoded before is dropped with the rest.
        self.error = error
        isAtEnd = true
        core.end(job, .cancelled)
        return false
      }
      failure = error
      count = draft.dropPartialItem()
      last = count
      recordEnds = count > 0 ? [draft.writer.count] : []
    }
    if count > 0 { submit(count, chunk, last: last, recordEnds, draft, to: channel) }
    if let failure { failItem(failure) }
    return count > 0 || failure != nil
  }

  /// The next item cannot be sent.
  private mutating func failItem(_ error: any Error) {
    job.willSubmit(first: submitted, count: 1, records: 1)
    core.ledger.recordSubmitted(1)
    let record = PendingRecord(
      Submission(job: job, first: submitted, count: 1, isTimed: false, extras: nil),
      EncodedArguments.none)
    submitted += 1
    core.fail([record], .error(error))
  }

  private mutating func submit(
    _ count: Int, _ chunk: Int, last: Int, _ ends: [Int], _ draft: borrowing RecordDraft,
    to channel: WorkerChannel?
  ) {
    overflowed = false
    job.willSubmit(first: submitted, count: count, records: ends.count)
    core.ledger.recordSubmitted(
      count, records: ends.count, of: chunk, last: last > 0 ? last : chunk)
    sizing.remaining = max(0, sizing.remaining - count)
    if last > 0, last < chunk, ends.count > 1 {
      // The last record is shorter: on its own.
      let whole = Array(ends.dropLast())
      submit(chunk, draft, from: 0, whole, to: channel)
      submit(last, draft, from: whole[whole.count - 1], Array(ends.suffix(1)), to: channel)
    } else {
      submit(ends.count == 1 ? count : chunk, draft, from: 0, ends, to: channel)
    }
  }

  /// Sends records of `count` items; those for which the worker has no room wait for the next one.
  private mutating func submit(
    _ count: Int, _ draft: borrowing RecordDraft, from start: Int, _ ends: [Int],
    to channel: WorkerChannel?
  ) {
    var submission = Submission(
      job: job, first: submitted, count: count, isTimed: false,
      extras: RecordExtras.make(draft.context.descriptors, draft.boundaries))
    submitted += count * ends.count
    let timesEach = job.itemTime == nil || count > 8
    unsafe draft.writer.withBytes { bytes in
      let bytes = unsafe UnsafeRawBufferPointer(rebasing: bytes[start...])
      let ends = start == 0 ? ends : ends.map { $0 - start }
      let sent =
        unsafe channel?.submitBatch(submission, bytes, ends: ends, timesEach: timesEach) ?? 0
      if sent < ends.count { overflowed = true }
      for record in sent..<ends.count {
        submission.first += count * (record == sent ? sent : 1)
        submission.isTimed = timesEach
        let part = unsafe UnsafeRawBufferPointer(
          rebasing: bytes[(record == 0 ? 0 : ends[record - 1])..<ends[record]])
        core.enqueue(PendingRecord(submission, unsafe EncodedArguments(copying: part)))
      }
    }
  }
}
