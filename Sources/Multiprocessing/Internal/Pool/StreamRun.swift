// One consumer of a stream: it feeds the workers whenever it asks for the next result.
//
// There is no task beside the consumer's own, so back-pressure needs no further means: who does not ask,
// does not feed.

/// Where a stream's inputs come from.
struct StreamSource {
  var pull: ItemSource
  var underestimatedCount = 0
  var isLengthKnown = false
  /// Stops what pulls from an asynchronous input.
  var stop: () -> Void = {}
  /// Makes the job known to what wakes it.
  var attach: (StreamJob) -> Void = { _ in }

  static var empty: StreamSource { StreamSource(pull: { _, _ in .end }) }
}

/// The state of one iteration. One task at a time.
final class StreamRun<Output> {
  private let pool: ProcessPool
  private let job: StreamJob
  private let source: StreamSource
  private let decoder: ResultDecoder<Output>
  private let context = IncomingTransfer()
  private var feeder: Feeder?
  /// What is being handed out, the position in its bytes, and how many of its items are left.
  private var current: StreamJob.Delivery?
  private var offset = 0
  private var left = 0
  private(set) var isFinished = false

  init(
    _ pool: ProcessPool, _ job: StreamJob, _ source: StreamSource, chunkLimit: Int,
    _ decoder: @escaping ResultDecoder<Output>
  ) {
    self.pool = pool
    self.job = job
    self.source = source
    self.decoder = decoder
    var sizing = pool.core.sizing(
      underestimatedCount: source.underestimatedCount, isLengthKnown: source.isLengthKnown)
    sizing.isStream = true
    sizing.limit = min(sizing.limit, chunkLimit)
    feeder = Feeder(core: pool.core, job: job, sizing: sizing)
    job.progress = ProgressReporter(
      pool.core.configuration.progress,
      total: source.isLengthKnown ? source.underestimatedCount : nil, pool.core.reactor)
    source.attach(job)
  }

  deinit {
    source.stop()
    if !isFinished { pool.core.end(job, .cancelled) }
    job.progress?.finish(job)
  }

  /// The next item's outcome; nil when all have been handed out.
  func nextOutcome() async -> (index: Int, result: Result<Output, any Error>)? {
    while !isFinished {
      if Task.isCancelled { pool.core.end(job, .cancelled) }
      if let outcome = takeFromCurrent() { return outcome }
      if let delivery = job.take() {
        if let progress = job.progress, progress.isDue(job) { progress.report(job) }
        current = delivery
        offset = 0
        left = delivery.count
      } else {
        await advance()
      }
    }
    return nil
  }

  /// Cancels what is left, and returns when nothing runs any more.
  func endEarly() async {
    pool.core.end(job, .cancelled)
    while !isFinished {
      while job.take() != nil {}
      await advance()
    }
  }

  /// Why the stream ends where the input did not: its own error, or a cancellation.
  var failure: (any Error)? { inputError ?? job.reasonForEnd()?.error }

  private var inputError: (any Error)?

  /// What is left of the input when the pool has been closed meanwhile.
  var rest: RefusedInputs<Output>? {
    guard isFinished, !Task.isCancelled, job.isEnded, pool.core.queue.isClosed else { return nil }
    return RefusedInputs(pool.core.queue.reason, source, index: submitted)
  }

  private var submitted = 0

  private func takeFromCurrent() -> (index: Int, result: Result<Output, any Error>)? {
    guard let delivery = current, left > 0 else { return nil }
    let index = delivery.first + delivery.count - left
    left -= 1
    switch delivery.content {
    case .failure(let failure): return (index, .failure(failure.error))
    case .values(let bytes):
      let result = Result {
        try unsafe bytes.withUnsafeBytes { bytes in
          var reader = unsafe ByteReader(UnsafeRawBufferPointer(rebasing: bytes[offset...]))
          defer { offset = bytes.count - reader.remaining }
          return try decoder(&reader, context)
        }
      }
      return (index, result)
    }
  }

  /// Feeds and collects until there is something to take or all is done.
  private func advance() async {
    guard var feeder = feeder.take() else { return }
    let job = job
    let core = pool.core
    await withTaskCancellationHandler {
      await core.pump(&feeder, job, source.pull)
    } onCancel: {
      core.end(job, .cancelled)
      job.poke()
    }
    if feeder.isAtEnd, job.isIdle, !job.hasDeliveries {
      isFinished = true
      job.progress?.finish(job)
      inputError = feeder.error
      submitted = feeder.submitted
    }
    self.feeder = consume feeder
  }
}
