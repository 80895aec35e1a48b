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
  private static let queueNanoseconds = 500_000
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
    var size = min(max(1, Self.chunkNanoseconds / itemTime), Self.countLimit)
    // Smaller towards the end, so that the workers finish together (guided self-scheduling).
    if isLengthKnown { size = min(size, max(1, remaining / (3 * workers))) }
    return size
  }

  func depth(chunk: Int, itemTime: Int?) -> Int {
    guard let itemTime else { return 2 }
    var depth = min(max(2, Self.queueNanoseconds / max(1, itemTime * chunk)), 512)
    if isLengthKnown { depth = min(depth, max(2, remaining / (2 * workers * chunk))) }
    return depth
  }
}

extension PoolCore {
  /// Runs one body on many items; the job holds the results. Throws the first failure, once what was running
  /// has ended.
  func map<Output>(
    _ reference: BodyReference, _ job: MapJob<Output>, underestimatedCount: Int, isLengthKnown: Bool,
    _ source: ItemSource
  ) async throws -> Int {
    try Task.checkCancellation()
    try checkOpen()
    let body = try bodies.body(for: reference)
    var feeder = Feeder(
      core: self, body: body, job: job,
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

  private func pump<Output>(_ feeder: inout Feeder<Output>, _ job: MapJob<Output>, _ source: ItemSource) async {
    var spinners = startSpinning()
    var idleSince: UInt64 = 0
    while true {
      var progressed = feeder.feed(channels(), source)
      for channel in channels() where channel.drainIfAvailable() { progressed = true }
      if feeder.isAtEnd, job.isIdle { break }
      if progressed {
        idleSince = 0
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

  /// The workers whose bell this caller takes over while it is awake.
  private func startSpinning() -> [WorkerChannel] {
    let channels = channels()
    for channel in channels { channel.startSpinning() }
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
private struct Feeder<Output> {
  let core: PoolCore
  let body: PoolBody
  let job: MapJob<Output>
  var sizing: ChunkSizing
  /// Items submitted so far.
  var submitted = 0
  /// No more is to be submitted: the input has ended, or something has failed.
  var isAtEnd = false
  /// What the input's own code threw.
  var error: (any Error)?

  init(core: PoolCore, body: PoolBody, job: MapJob<Output>, sizing: ChunkSizing) {
    self.core = core
    self.body = body
    self.job = job
    self.sizing = sizing
  }

  /// Gives each worker what it may have; whether anything was sent.
  mutating func feed(_ channels: [WorkerChannel], _ source: ItemSource) -> Bool {
    if !isAtEnd, job.hasFailed || job.isEnded {
      isAtEnd = true
      core.end(job, .cancelled)
    }
    var sent = false
    for channel in channels where !isAtEnd {
      let itemTime = job.itemTime
      let chunk = sizing.chunk(itemTime: itemTime)
      let depth = sizing.depth(chunk: chunk, itemTime: itemTime)
      while !isAtEnd, channel.outstandingCount < depth, hasRoom(chunk) {
        guard send(chunk, to: channel, depth, source) else { break }
        sent = true
      }
    }
    if channels.isEmpty, !isAtEnd, job.isIdle {
      // Every worker is being replaced: this waits for the first one.
      sent = send(1, to: nil, 1, source)
    }
    return sent
  }

  private func hasRoom(_ chunk: Int) -> Bool {
    guard let window = core.configuration.window else { return true }
    let inFlight = job.itemsInFlight
    return inFlight == 0 || inFlight + chunk <= window
  }

  private mutating func send(
    _ chunk: Int, to channel: WorkerChannel?, _ depth: Int, _ source: ItemSource
  ) -> Bool {
    let context = OutgoingTransfer()
    return unsafe withUnsafeTemporaryAllocation(byteCount: 2 * ChunkSizing.byteLimit, alignment: 16) {
      region in
      var writer = unsafe ByteWriter(region: region)
      let count: Int
      do {
        count = try source(min(chunk, core.configuration.window ?? chunk), &writer, context)
      } catch {
        self.error = error
        isAtEnd = true
        core.end(job, .cancelled)
        return false
      }
      guard count > 0 else {
        isAtEnd = true
        return false
      }
      submit(count, writer, context, to: channel, depth)
      return true
    }
  }

  private mutating func submit(
    _ count: Int, _ writer: borrowing ByteWriter, _ context: OutgoingTransfer, to channel: WorkerChannel?,
    _ depth: Int
  ) {
    let submission = Submission(
      body: body, job: job, first: submitted, count: count,
      isTimed: job.itemTime == nil || count > 8 || core.needsTiming(), mappings: context.mappings)
    job.willSubmit(first: submitted, count: count)
    core.recordSubmitted(count)
    submitted += count
    sizing.remaining = max(0, sizing.remaining - count)
    unsafe writer.withBytes { bytes in
      let result = channel?.submit(submission, limit: depth, spins: false) { unsafe $0.append(bytes) }
      if result != .sent { core.enqueue(PendingRecord(submission, bytes: unsafe [UInt8](bytes))) }
    }
  }
}
