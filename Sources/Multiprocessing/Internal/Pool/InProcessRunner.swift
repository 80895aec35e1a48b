// Serial mode: bodies run in this process, one after the other, for the debugger.
//
// Arguments and results are encoded and decoded as between processes, and bodies found by their names, so that
// what cannot be sent fails here too.

internal import CMultiprocessing
internal import Glibc
internal import Synchronization

final class InProcessRunner: Sendable {
  private struct State {
    var isRunning = false
    var current: (job: PoolJob, task: Task<Void, any Error>)?
    var bodies: [UInt32: LoadedBody] = [:]
    var hasStarted = false
    var activity = ProcessPool.Statistics.Worker(id: 0)
  }

  private let state = Guarded(State())

  /// Begins to run what waits, unless that is under way.
  func kick(_ core: PoolCore) {
    let starts = state.withLock { state in
      defer { state.isRunning = true }
      return !state.isRunning
    }
    if starts { Task.detached { await self.runAll(core) } }
  }

  /// Cancels the job's item, if it is the one that runs; nil: whatever runs.
  func cancel(_ job: PoolJob?) {
    let task = state.withLock { state in
      job == nil || state.current?.job === job ? state.current?.task : nil
    }
    task?.cancel()
  }

  /// What has been run here. Nothing waits: the application has other things to do.
  var activity: ProcessPool.Statistics.Worker {
    var activity = state.withLock { $0.activity }
    activity.processCount = 1
    return activity
  }

  private func runAll(_ core: PoolCore) async {
    while true {
      while let record = core.queue.takeFirst() { await run(record, core) }
      state.withLock { $0.isRunning = false }
      // What came in between found it running.
      if core.queue.isEmpty { return }
      let goesOn = state.withLock { state in
        defer { state.isRunning = true }
        return !state.isRunning
      }
      if !goesOn { return }
    }
  }

  private func run(_ record: PendingRecord, _ core: PoolCore) async {
    let submission = record.submission
    let job = submission.job
    precondition(submission.count == 1, "records are single items where there is no worker")
    guard await runStartBody(core), submission.isWanted else {
      return core.fail([record], job.reasonForEnd() ?? .error(core.queue.reason))
    }
    let outcome = Guarded<[UInt8]>([])
    let began = mproc_now_ns()
    let call = Task.detached {
      let bytes = try await self.call(job.body, record.arguments)
      outcome.withLock { $0 = bytes }
    }
    state.withLock { $0.current = (job, call) }
    if job.isEnded { call.cancel() }
    let result = await call.result
    let bytes = outcome.withLock { $0 }
    note(record, result, bytes.count, from: began, to: mproc_now_ns(), core.trace)
    switch result {
    case .success: succeed(record, bytes, core)
    case .failure(let error): fail(record, error, core)
    }
  }

  /// What has run, for the statistics and the timeline.
  private func note(
    _ record: PendingRecord, _ result: Result<Void, any Error>, _ byteCount: Int,
    from began: UInt64, to ended: UInt64, _ trace: PoolTrace?
  ) {
    var ending = TraceEvent.Ending.succeeded
    if case .failure(let error) = result {
      ending = error is CancellationError ? .cancelled : .failed
      if let reason = record.submission.job.reasonForEnd() { ending = .init(reason) }
    }
    state.withLock { state in
      state.current = nil
      state.activity.workingTime += .nanoseconds(ended - began)
      state.activity.argumentByteCount += record.arguments.byteCount
      state.activity.resultByteCount += byteCount
      if ending == .succeeded { state.activity.taskCount += 1 }
    }
    guard let trace else { return }
    let submission = record.submission
    trace.post(
      TraceEvent(
        row: 1, name: submission.job.body.label, category: submission.job.kind, began: began,
        ended: ended,
        arguments: .items(
          job: trace.number(of: submission.job), first: submission.first, count: 1,
          process: getpid(), ending)))
  }

  private func succeed(_ record: PendingRecord, _ bytes: [UInt8], _ core: PoolCore) {
    let submission = record.submission
    let job = submission.job
    var change = PoolLedger.Change()
    change.succeeded = 1
    let isIdle = core.ledger.record(change)
    let isSound = unsafe bytes.withUnsafeBytes {
      unsafe job.receive(first: submission.first, count: 1, $0)
    }
    precondition(isSound, "a result that was encoded here cannot be read")
    job.recordsEnded(1, items: 1)
    job.wake()
    if isIdle { core.ledger.wakeWaiters() }
  }

  private func fail(_ record: PendingRecord, _ error: any Error, _ core: PoolCore) {
    var writer = unsafe ByteWriter(region: UnsafeMutableRawBufferPointer(start: nil, count: 0))
    FailureCoding.encode(error, into: &writer, OutgoingTransfer())
    let failure = ItemFailure.outcome(unsafe writer.withBytes { unsafe [UInt8]($0) })
    let job = record.submission.job
    if let end = job.reasonForEnd() { return core.fail([record], end) }
    guard !job.isBound, core.mayRetry(failure) else { return core.fail([record], failure) }
    let attempts = (record.submission.extras?.attempts ?? 0) + 1
    core.takeBack(
      ReturnedRecord(record: record.part(0, 1, attempts: attempts), failure: failure))
  }

  /// False when the pool has been closed for its failure.
  private func runStartBody(_ core: PoolCore) async -> Bool {
    let isFirst = state.withLock { state in
      defer { state.hasStarted = true }
      return !state.hasStarted
    }
    guard isFirst, let start = core.startBody else { return true }
    do {
      _ = try await call(start.body, start.arguments)
      return true
    } catch {
      core.close(error, kills: false)
      return false
    }
  }

  /// The encoded result.
  private func call(_ body: PoolBody, _ arguments: EncodedArguments) async throws -> [UInt8] {
    let loaded = try load(body)
    let context = IncomingTransfer()
    var writer = unsafe ByteWriter(region: UnsafeMutableRawBufferPointer(start: nil, count: 0))
    let storage = UnsafeMutableRawBufferPointer.allocate(
      byteCount: arguments.byteCount, alignment: 16)
    defer { unsafe storage.deallocate() }
    unsafe arguments.withBytes { unsafe storage.copyMemory(from: $0) }
    var reader = unsafe ByteReader(UnsafeRawBufferPointer(storage))
    switch loaded {
    case .sync(let call): try call(&reader, &writer, context)
    case .async(let call): try await call(&reader, &writer, context)
    }
    return unsafe writer.withBytes { unsafe [UInt8]($0) }
  }

  private func load(_ body: PoolBody) throws -> LoadedBody {
    if let loaded = state.withLock({ $0.bodies[body.number] }) { return loaded }
    let loaded = try unsafe body.definition.withUnsafeBytes { bytes in
      var reader = unsafe ByteReader(bytes)
      _ = try reader.readValue(as: UInt32.self)
      return try LoadedBody(try ValueCoding.decode(BodyName.self, from: &reader, context: nil))
    }
    state.withLock { $0.bodies[body.number] = loaded }
    return loaded
  }
}
