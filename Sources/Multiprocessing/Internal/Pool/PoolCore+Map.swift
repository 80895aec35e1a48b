// Many items and their caller: the caller pulls the inputs, cuts them into records, feeds the workers, and
// takes results while it has nothing to feed.
//
// Only the caller's own task iterates the inputs and encodes them, so neither need be Sendable.

internal import CMultiprocessing

/// Appends up to so many items to the writer and returns how many; 0 at the end of the input. Stops early
/// once the writer holds `ChunkSizing.byteLimit` bytes.
typealias ItemSource = (_ limit: Int, inout ByteWriter, OutgoingTransfer) throws -> Int

/// How many items to put into a record, and how many records a worker may have.
struct ChunkSizing {
  /// A record's arguments should fit into a quarter of the ring.
  static let byteLimit = 48 * 1024
  /// Long enough that a record's cost does not count, short enough to share the work evenly.
  private static let chunkNanoseconds = 250_000
  /// While much is left: waking the caller for the next record takes some 40 us from the workers.
  private static let largeChunkNanoseconds = 16_000_000
  private static let queueNanoseconds = 500_000
  /// Beside this the time to refill an idle worker does not count.
  private static let longNanoseconds = 2_000_000
  private static let countLimit = 1 << 20

  let setting: ProcessPool.Configuration.ChunkSize
  let workers: Int
  /// Items that the input still has at least, 0 when that is not known.
  var remaining: Int
  let isLengthKnown: Bool

  func chunk(itemTime: Int?) -> Int {
    if case .fixed(let size) = setting { return size }
    // The first records measure.
    guard let itemTime else { return 1 }
    var size = max(1, Self.chunkNanoseconds / itemTime)
    if isLengthKnown {
      size = max(size, min(remaining / (8 * workers), Self.largeChunkNanoseconds / itemTime))
    }
    size = min(size, Self.countLimit)
    // Smaller towards the end, so that the workers finish together (guided self-scheduling).
    if isLengthKnown { size = min(size, max(1, remaining / (3 * workers))) }
    return size
  }

  func depth(chunk: Int, itemTime: Int?) -> Int {
    // A long record keeps nothing waiting behind it: another worker may be free first.
    guard let itemTime, itemTime < Self.longNanoseconds else { return 1 }
    var depth = min(max(2, Self.queueNanoseconds / itemTime / chunk), 512)
    if isLengthKnown { depth = min(depth, max(2, remaining / (2 * workers) / chunk)) }
    return depth
  }
}

extension PoolCore {
  /// Runs one body on many items; the job holds the results. Throws the first failure, once what was running
  /// has ended.
  func map<Output>(
    _ job: MapJob<Output>, underestimatedCount: Int, isLengthKnown: Bool, _ source: ItemSource
  ) async throws -> Int {
    try Task.checkCancellation()
    try queue.checkOpen()
    var feeder = Feeder(
      core: self, job: job,
      sizing: ChunkSizing(
        setting: configuration.chunkSize, workers: workerCount, remaining: underestimatedCount,
        isLengthKnown: isLengthKnown))
    job.reserve(isLengthKnown ? underestimatedCount : 0)
    await withTaskCancellationHandler {
      await pump(&feeder, job, source)
    } onCancel: {
      end(job, .cancelled)
    }
    if let error = feeder.error { throw error }
    if let failure = job.takeFailure() ?? job.reasonForEnd() { throw failure.error }
    return feeder.submitted
  }

  private func pump<Output>(
    _ feeder: inout Feeder<Output>, _ job: MapJob<Output>, _ source: ItemSource
  ) async {
    var spinners = startSpinning()
    var idleSince: UInt64 = 0
    var rounds = 0
    while true {
      // A worker that was replaced is found soon enough, and asking costs an array.
      rounds += 1
      if rounds & 63 == 0, !feeder.isAtEnd { replaceLost(&spinners) }
      var progressed = feeder.feed(spinners, source)
      for channel in spinners where channel.drainIfAvailable() { progressed = true }
      if feeder.isAtEnd, job.isIdle { break }
      if progressed {
        idleSince = 0
        // While the workers have enough to do, fewer and larger exchanges cost both sides less.
        if spinners.allSatisfy({ $0.outstandingCount > 64 }) {
          for _ in 0..<48 { mproc_pause() }
        }
        continue
      }
      if feeder.isAtEnd || !spinners.isEmpty, mayKeepSpinning(&idleSince) {
        for _ in 0..<16 { mproc_pause() }
        continue
      }
      for channel in spinners { channel.stopSpinning() }
      await job.waitForNews()
      spinners = startSpinning()
      idleSince = 0
    }
    for channel in spinners { channel.stopSpinning() }
  }

  /// Takes in the workers that came in place of others.
  private func replaceLost(_ spinners: inout [WorkerChannel]) {
    let living = channels()
    guard living.count != spinners.count || !zip(living, spinners).allSatisfy({ $0 === $1 }) else {
      return
    }
    for channel in living where !spinners.contains(where: { $0 === channel }) {
      channel.startSpinning()
    }
    for channel in spinners where !living.contains(where: { $0 === channel }) {
      channel.stopSpinning()
    }
    spinners = living
  }

  /// The workers whose bell this caller takes over while it is awake.
  private func startSpinning() -> [WorkerChannel] {
    let channels = channels()
    for channel in channels { channel.startSpinning() }
    if channels.count == 1, callerSpin > 0 { _ = moveAway(from: channels[0]) }
    return channels
  }

  private func mayKeepSpinning(_ idleSince: inout UInt64) -> Bool {
    guard callerSpin > 0, hasSpareCPU else { return false }
    let now = mproc_now_ns()
    if idleSince == 0 { idleSince = now }
    return now - idleSince < callerSpin
  }
}

/// Cuts the input of one map into records.
@safe
private struct Feeder<Output>: ~Copyable {
  private let core: PoolCore
  private let job: MapJob<Output>
  private let window: Int?
  private var sizing: ChunkSizing
  private let scratch: UnsafeMutableRawBufferPointer
  private let context = OutgoingTransfer()
  private var ends: [Int] = []
  /// The last worker did not take all that it was sent.
  private var overflowed = false
  /// Items submitted so far.
  private(set) var submitted = 0
  /// No more is to be submitted: the input has ended, or something has failed.
  private(set) var isAtEnd = false
  /// What the input's own code threw.
  private(set) var error: (any Error)?

  init(core: PoolCore, job: MapJob<Output>, sizing: ChunkSizing) {
    self.core = core
    self.job = job
    self.sizing = sizing
    window = core.configuration.window
    unsafe scratch = .allocate(byteCount: 2 * ChunkSizing.byteLimit, alignment: 16)
  }

  deinit {
    unsafe scratch.deallocate()
  }

  /// Gives each worker what it may have; whether anything was sent.
  mutating func feed(_ channels: [WorkerChannel], _ source: ItemSource) -> Bool {
    if !isAtEnd, job.hasFailed || job.isEnded {
      isAtEnd = true
      core.end(job, .cancelled)
    }
    var sent = false
    for channel in channels where !isAtEnd && channel.isLive {
      let itemTime = job.itemTime
      let chunk = min(sizing.chunk(itemTime: itemTime), window ?? Int.max)
      let depth = sizing.depth(chunk: chunk, itemTime: itemTime)
      while !isAtEnd {
        let free = depth - channel.outstandingCount
        // A long queue is refilled when a quarter of it has gone.
        guard free > depth / 4 || free > 0 && depth < 16 else { break }
        let room = min(free, recordsInWindow(chunk))
        guard room > 0, send(chunk, records: room, to: channel, source) else { break }
        sent = true
        // What it did not take waits for the next worker; more would only pile up.
        if overflowed { break }
      }
    }
    if !isAtEnd, job.isIdle, !channels.contains(where: \.isLive) {
      // Every worker is being replaced: this waits for the first one.
      sent = send(1, records: 1, to: nil, source)
    }
    return sent
  }

  /// How many records of this size the window has room for.
  private func recordsInWindow(_ chunk: Int) -> Int {
    guard let window else { return Int.max }
    return (window - job.itemsInFlight) / chunk
  }

  /// Encodes up to `records` records, and sends them; false when there was nothing to send.
  private mutating func send(
    _ chunk: Int, records: Int, to channel: WorkerChannel?, _ source: ItemSource
  ) -> Bool {
    var writer = unsafe ByteWriter(region: scratch)
    var count = 0
    var last = 0
    ends.removeAll(keepingCapacity: true)
    context.removeAll()
    overflowed = false
    do {
      while ends.count < records, writer.count < ChunkSizing.byteLimit {
        last = try source(chunk, &writer, context)
        if last == 0 { break }
        count += last
        ends.append(writer.count)
        // All records of a batch but its last have the same size.
        if last < chunk { break }
      }
    } catch {
      // What was encoded before is dropped with the rest.
      self.error = error
      isAtEnd = true
      core.end(job, .cancelled)
      return false
    }
    // A short record is no sign of the end: the byte limit may have cut it.
    if last == 0 { isAtEnd = true }
    guard count > 0 else { return false }
    job.willSubmit(first: submitted, count: count, records: ends.count)
    core.ledger.recordSubmitted(count)
    sizing.remaining = max(0, sizing.remaining - count)
    if last > 0, last < chunk, ends.count > 1 {
      // The last record is shorter: on its own.
      let end = ends.removeLast()
      let start = ends[ends.count - 1]
      submit(chunk, writer, from: 0, ends, to: channel)
      submit(last, writer, from: start, [end], to: channel)
    } else {
      submit(ends.count == 1 ? count : chunk, writer, from: 0, ends, to: channel)
    }
    return true
  }

  /// Sends records of `count` items; those for which the worker has no room wait for the next one.
  private mutating func submit(
    _ count: Int, _ writer: borrowing ByteWriter, from start: Int, _ ends: [Int],
    to channel: WorkerChannel?
  ) {
    var submission = Submission(
      job: job, first: submitted, count: count, isTimed: false,
      mappings: MappingList(context.mappings))
    submitted += count * ends.count
    let timesEach = job.itemTime == nil || count > 8
    unsafe writer.withBytes { bytes in
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
