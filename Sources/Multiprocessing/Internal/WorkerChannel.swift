// The application's side of one worker process: its rings, what was sent and has not come back, and what
// happens when it dies.
//
// One lock guards it all. It is held for a copy into a ring or out of one, never while code of the user's
// runs. A caller that waits spins on the completion ring's tail without the lock. When nobody spins and
// something is outstanding, the channel is armed: the worker rings the pool's bell.

internal import CMultiprocessing
internal import Glibc
internal import Synchronization

/// What records of one job and one size have in common.
final class RecordGroup: Sendable {
  let body: PoolBody
  let job: PoolJob
  /// Items in each record.
  let count: Int
  let mappings: [SharedMapping]

  init(_ body: PoolBody, _ job: PoolJob, count: Int, _ mappings: [SharedMapping]) {
    self.body = body
    self.job = job
    self.count = count
    self.mappings = mappings
  }
}

/// Items that travel in one record. Copying it costs one reference count.
struct Submission {
  let group: RecordGroup
  /// The position in the job of the first item.
  var first: Int
  var isTimed: Bool

  init(
    body: PoolBody, job: PoolJob, first: Int, count: Int, isTimed: Bool, mappings: [SharedMapping] = []
  ) {
    group = RecordGroup(body, job, count: count, mappings)
    self.first = first
    self.isTimed = isTimed
  }

  var body: PoolBody { group.body }
  var job: PoolJob { group.job }
  var count: Int { group.count }
  var mappings: [SharedMapping] { group.mappings }
}

@safe
final class WorkerChannel: @unchecked Sendable {  // `lock` guards `state` and what the pointers lead to.
  enum SubmitResult { case sent, full, dead }

  struct Sizes {
    static let ring: UInt64 = 256 * 1024
    static let arena: UInt64 = 64 << 30
    /// Arguments of more bytes go through the arena.
    static let inlineLimit = 64 * 1024
  }

  private struct Entry {
    var number: UInt64
    /// Where the record begins and ends in the submission ring.
    var start: UInt64
    var end: UInt64
    var submission: Submission
    var received = 0
    var arenaOffset: UInt64?
  }

  /// What is left to do when the lock is released.
  private struct Aftermath {
    var wakes: [PoolJob] = []
    var drained = false
    var becameIdle = false
    /// Of jobs that show nothing before they are told so: recorded once for all.
    var ledger = PoolCore.LedgerChange()
    var ended: (job: PoolJob, records: Int, items: Int)?

    mutating func wake(_ job: PoolJob) {
      if wakes.last !== job { wakes.append(job) }
    }
  }

  private struct State {
    var outstanding: [Entry] = []
    /// The first of `outstanding` that has not come back.
    var front = 0
    var lastNumber: UInt64 = 0
    var defined: [Bool] = []
    var attached: Set<UInt64> = []
    var isOpen = true
    var isStopping = false
    var isArmed = false
    var spinners = 0
    var arenaPosition: UInt64 = 0
    var finished = 0
    var process: ManagedProcess?
  }

  let index: Int
  let requestedCPUs: CPUSet?
  private let pool: PoolCore
  private let channel: UnsafeMutablePointer<mproc_channel>
  private var submissions: mproc_segment
  private var completions: mproc_segment
  private let arguments: OpaquePointer
  private let results: OpaquePointer
  private let lock = Mutex(())
  private let stateStorage: UnsafeMutablePointer<State>
  /// Only with the lock held. A pointer, because the compiler's check for overlapping access to a class's
  /// properties costs more than the work on them.
  private var state: State {
    unsafeAddress { unsafe UnsafePointer(stateStorage) }
    unsafeMutableAddress { unsafe stateStorage }
  }
  /// How many records are outstanding, for choosing a worker without the lock.
  private let load = Atomic<Int>(0)

  var outstandingCount: Int { load.load(ordering: .relaxed) }

  private let live = Atomic<Bool>(true)

  /// False once the process has ended; then nothing more is accepted.
  var isLive: Bool { live.load(ordering: .relaxed) }

  fileprivate init(
    _ index: Int, _ requestedCPUs: CPUSet?, _ pool: PoolCore, _ submissions: mproc_segment,
    _ completions: mproc_segment, _ arguments: OpaquePointer, _ results: OpaquePointer
  ) {
    self.index = index
    self.requestedCPUs = requestedCPUs
    self.pool = pool
    unsafe self.submissions = submissions
    unsafe self.completions = completions
    unsafe self.arguments = arguments
    unsafe self.results = results
    unsafe channel = UnsafeMutablePointer.allocate(capacity: 1)
    unsafe stateStorage = UnsafeMutablePointer.allocate(capacity: 1)
    unsafe stateStorage.initialize(to: State())
    let opened = unsafe mproc_channel_open(channel, &self.submissions, &self.completions)
    precondition(opened == 0, "new segments do not fit together")
  }

  deinit {
    unsafe channel.deallocate()
    unsafe stateStorage.deinitialize(count: 1)
    unsafe stateStorage.deallocate()
    unsafe mproc_segment_unmap(&submissions)
    unsafe mproc_segment_unmap(&completions)
    unsafe mproc_arena_close(arguments)
    unsafe mproc_arena_close(results)
  }

  private func settle(_ aftermath: Aftermath) {
    if aftermath.becameIdle { pool.endIfIdle() }
    for job in aftermath.wakes { job.wake() }
    if aftermath.drained { pool.sendPending(to: self) }
  }

  // MARK: - The process

  func attach(_ process: ManagedProcess) { lock.withLock { _ in state.process = process } }

  var info: ProcessPool.WorkerInfo {
    let (process, finished, isStopping) = lock.withLock { _ in
      (state.process, state.finished, state.isStopping)
    }
    let pid = process?.pid ?? 0
    let isRunning = process?.isRunning ?? false
    return ProcessPool.WorkerInfo(
      id: index, processIdentifier: pid,
      state: process == nil
        ? .starting
        : !isRunning ? .dead : isStopping ? .stopping : outstandingCount > 0 ? .busy : .idle,
      requestedCPUs: requestedCPUs, verifiedCPUs: process?.effectiveCPUs, taskCount: finished,
      residentByteCount: max(0, Int(mproc_resident_bytes(pid))))
  }

  var process: ManagedProcess? { lock.withLock { _ in state.process } }

  /// Tells the worker to end after what it has; nothing can be submitted from then on.
  func stop() {
    lock.withLock { _ in
      guard state.isOpen, !state.isStopping else { return }
      state.isStopping = true
      guard let payload = unsafe mproc_ring_reserve(channel, 8) else {
        state.process?.kill()  // Cannot be: the ring is drained before this.
        return
      }
      unsafe payload.storeBytes(of: 0, as: UInt64.self)
      unsafe mproc_ring_commit(channel, 8, SubmissionKind.stop)
      publish()
    }
  }

  // MARK: - Submitting

  /// Sends a record when fewer than `limit` are outstanding. With `spins` the caller promises a call of `stopSpinning`.
  func submit(
    _ submission: Submission, limit: Int, spins: Bool, _ arguments: RecordArguments
  ) -> SubmitResult {
    var after = Aftermath()
    let result = lock.withLock { _ -> SubmitResult in
      guard state.isOpen, !state.isStopping else { return .dead }
      guard state.outstanding.count - state.front < limit else { return .full }
      guard send(submission, arguments) else { return .full }
      if spins {
        state.spinners += 1
        if state.isArmed { disarm() }
      } else if state.spinners == 0, !state.isArmed {
        arm(&after)
      }
      publish()
      return .sent
    }
    settle(after)
    return result
  }

  /// Sends what waited.
  func submitPending(_ record: PendingRecord, limit: Int) -> SubmitResult {
    submit(record.submission, limit: limit, spins: false, .encoded(record.arguments))
  }

  /// Sends records of `count` items each, whose encoded items lie in `bytes` between the `ends`, and shows the
  /// worker all of them at once. How many there was room for.
  func submitBatch(
    _ first: Submission, _ bytes: UnsafeRawBufferPointer, ends: [Int], timesEach: Bool
  ) -> Int {
    var after = Aftermath()
    let sent = lock.withLock { _ -> Int in
      guard state.isOpen, !state.isStopping else { return 0 }
      var submission = first
      var start = 0
      var sent = 0
      for end in ends {
        submission.isTimed = timesEach || sent & 15 == 0
        let record = unsafe UnsafeRawBufferPointer(rebasing: bytes[start..<end])
        guard unsafe sendBytes(submission, record) else { break }
        submission.first += submission.count
        start = end
        sent += 1
      }
      if state.spinners == 0, !state.isArmed { arm(&after) }
      publish()
      return sent
    }
    settle(after)
    return sent
  }

  /// False when the ring has no room.
  private func send(_ submission: Submission, _ arguments: RecordArguments) -> Bool {
    switch arguments {
    case .encoded(let arguments): return unsafe arguments.withBytes { unsafe sendBytes(submission, $0) }
    case .direct(let fill):
      guard prepare(submission) else { return false }
      var available = 0
      guard let room = unsafe mproc_ring_reserve_most(channel, 256, &available) else { return false }
      var writer = unsafe ByteWriter(region: UnsafeMutableRawBufferPointer(start: room, count: available))
      writer.appendValue(header(submission, flags: 0))
      fill(&writer)
      if writer.isSpilled {
        let headerSize = MemoryLayout<TaskHeader>.size
        return unsafe writer.withBytes { bytes in
          unsafe sendBytes(submission, UnsafeRawBufferPointer(rebasing: bytes[headerSize...]))
        }
      }
      commit(submission, size: writer.count, arenaOffset: nil)
      return true
    }
  }

  private func sendBytes(_ submission: Submission, _ bytes: UnsafeRawBufferPointer) -> Bool {
    guard prepare(submission) else { return false }
    let headerSize = MemoryLayout<TaskHeader>.size
    let isInline = bytes.count <= Sizes.inlineLimit
    let size = headerSize + (isInline ? bytes.count : MemoryLayout<ArenaReference>.size)
    // Room first: what is put into the arena could not be taken back as cheaply.
    guard let room = unsafe mproc_ring_reserve(channel, size) else { return false }
    var arenaOffset: UInt64?
    if isInline {
      if let source = bytes.baseAddress {
        unsafe (room + headerSize).copyMemory(from: source, byteCount: bytes.count)
      }
    } else {
      guard let reference = unsafe moveToArena(bytes) else { return false }
      unsafe (room + headerSize).storeBytes(of: reference, as: ArenaReference.self)
      arenaOffset = reference.offset
    }
    let flags = isInline ? 0 : TaskHeader.isInArena
    unsafe room.storeBytes(of: header(submission, flags: flags), as: TaskHeader.self)
    commit(submission, size: size, arenaOffset: arenaOffset)
    return true
  }

  /// The worker knows the body and the shared memory that the arguments name.
  private func prepare(_ submission: Submission) -> Bool {
    guard define(submission.body) else { return false }
    for mapping in submission.mappings where state.attached.insert(mapping.number).inserted {
      state.process?.command(
        MPROC_COMMAND_ATTACH, number: mapping.number, size: UInt64(mapping.byteCount),
        descriptor: mapping.descriptor)
    }
    return true
  }

  private func header(_ submission: Submission, flags: UInt32) -> TaskHeader {
    TaskHeader(
      number: state.lastNumber + 1, body: submission.body.number, count: UInt32(submission.count),
      flags: flags | (submission.isTimed ? TaskHeader.isTimed : 0))
  }

  private func commit(_ submission: Submission, size: Int, arenaOffset: UInt64?) {
    unsafe mproc_ring_commit(channel, size, SubmissionKind.tasks)
    let end = unsafe channel.pointee.tail
    state.lastNumber += 1
    state.outstanding.append(
      Entry(
        number: state.lastNumber, start: end - mproc_ring_record_size(UInt64(size)), end: end,
        submission: submission, arenaOffset: arenaOffset))
    load.store(state.outstanding.count - state.front, ordering: .relaxed)
  }

  private func define(_ body: PoolBody) -> Bool {
    let number = Int(body.number)
    if number < state.defined.count, state.defined[number] { return true }
    guard let room = unsafe mproc_ring_reserve(channel, body.definition.count) else { return false }
    unsafe body.definition.withUnsafeBytes { bytes in
      guard let source = bytes.baseAddress else { return }
      unsafe room.copyMemory(from: source, byteCount: bytes.count)
    }
    unsafe mproc_ring_commit(channel, body.definition.count, SubmissionKind.define)
    while state.defined.count <= number { state.defined.append(false) }
    state.defined[number] = true
    return true
  }

  /// nil when there is no memory now.
  private func moveToArena(_ bytes: UnsafeRawBufferPointer) -> ArenaReference? {
    var range = unsafe mproc_arena_range()
    guard unsafe mproc_arena_allocate(arguments, UInt64(bytes.count), &range) == 0,
      let target = unsafe range.bytes, let source = bytes.baseAddress
    else { return nil }
    unsafe target.copyMemory(from: source, byteCount: bytes.count)
    return unsafe ArenaReference(
      offset: range.offset, byteCount: UInt64(bytes.count), position: range.position)
  }

  private func publish() {
    unsafe mproc_channel_set_cpu(channel, mproc_current_cpu())
    unsafe mproc_ring_publish(channel)
    if unsafe mproc_channel_peer_sleeps(channel, MPROC_WORD_TAIL) {
      _ = unsafe mproc_channel_wake(channel, MPROC_WORD_TAIL)
    }
  }

  // MARK: - Waiting

  private func disarm() {
    unsafe mproc_channel_end_sleep(channel)
    state.isArmed = false
  }

  /// From now on the worker rings the bell; what is there already is taken.
  private func arm(_ after: inout Aftermath) {
    repeat {
      takeCompletions(&after)
      state.isArmed = true
      unsafe mproc_channel_announce_sleep(channel, MPROC_WORD_TAIL)
    } while unsafe mproc_ring_has_records(channel) && state.isOpen
  }

  /// Whether draining would find something; without the lock, so it may be a moment old.
  var hasCompletions: Bool { unsafe mproc_ring_has_records(channel) }

  /// Whether the worker was last seen on the CPU of the caller, where spinning would only keep it away.
  var sharesCallersCPU: Bool { unsafe mproc_channel_peer_cpu(channel) == mproc_current_cpu() }

  /// Takes what has come, unless somebody else is at it; whether something may have changed.
  @discardableResult
  func drainIfAvailable() -> Bool {
    guard hasCompletions else { return false }
    var after = Aftermath()
    let drained: Void? = lock.withLockIfAvailable { _ in takeCompletions(&after) }
    settle(after)
    return drained != nil
  }

  /// The caller takes completions until it calls `stopSpinning`; the worker need not ring.
  func startSpinning() {
    lock.withLock { _ in
      state.spinners += 1
      if state.isArmed { disarm() }
    }
  }

  func stopSpinning() {
    var after = Aftermath()
    lock.withLock { _ in
      state.spinners -= 1
      if state.spinners == 0, state.front < state.outstanding.count { arm(&after) }
    }
    settle(after)
  }

  /// The bell rang: takes what has come and arms again.
  func bellRang() {
    var after = Aftermath()
    lock.withLock { _ in
      if state.isArmed { disarm() }
      takeCompletions(&after)
      if state.spinners == 0, state.front < state.outstanding.count { arm(&after) }
    }
    settle(after)
  }

  // MARK: - Completions

  private func takeCompletions(_ after: inout Aftermath) {
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
    compact()
    after.drained = true
    if !isSound {
      // It wrote nonsense into memory that it shares: as good as crashed.
      state.isOpen = false
      state.process?.kill()
    }
  }

  /// Tells the ledger, then the job, what came in since the last time.
  private func flush(_ after: inout Aftermath) {
    if pool.record(after.ledger) { after.becameIdle = true }
    after.ledger = PoolCore.LedgerChange()
    if let ended = after.ended { ended.job.recordsEnded(ended.records, items: ended.items) }
    after.ended = nil
  }

  /// One completion; false when it makes no sense.
  private func take(
    _ bytes: UnsafeRawBufferPointer, _ kind: UInt32, _ after: inout Aftermath
  ) -> Bool {
    var reader = unsafe ByteReader(bytes)
    guard state.front < state.outstanding.count,
      let header = try? reader.readValue(as: CompletionHeader.self)
    else { return false }
    let entry = state.outstanding[state.front]
    let submission = entry.submission
    let first = Int(header.first)
    let count = Int(header.count)
    guard header.number == entry.number, first == entry.received, count >= 1,
      count <= submission.count - first
    else { return false }
    if kind == CompletionKind.values {
      guard unsafe takeValues(header, unsafe reader.unread, entry, &after) else { return false }
    } else {
      guard kind == CompletionKind.failure, header.flags & CompletionHeader.isLast != 0 else { return false }
      let reason = submission.job.reasonForEnd() ?? .outcome(unsafe [UInt8](reader.unread))
      record(reason, &after)
      submission.job.fail(item: submission.first + first, reason)
    }
    state.outstanding[state.front].received += count
    if header.flags & CompletionHeader.isLast != 0 {
      if header.nanoseconds > 0 {
        let time = max(1, Int(header.nanoseconds) / submission.count)
        if !submission.job.noteItemTime(time) { pool.noteItemTime(time) }
      }
      finish(skipped: submission.count - first - count, &after)
      after.wake(submission.job)
    }
    return true
  }

  private func takeValues(
    _ header: CompletionHeader, _ inline: UnsafeRawBufferPointer, _ entry: Entry,
    _ after: inout Aftermath
  ) -> Bool {
    let submission = entry.submission
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
    if submission.job.showsAtOnce {
      record(succeeded: count, &after)
    } else {
      after.ledger.succeeded += count
    }
    guard unsafe submission.job.receive(first: submission.first + Int(header.first), count: count, bytes)
    else {
      // The item is charged when the process has been ended for it.
      if submission.job.showsAtOnce { record(succeeded: -count, &after) } else { after.ledger.succeeded -= count }
      return false
    }
    if header.flags & CompletionHeader.isInArena != 0 {
      unsafe mproc_channel_set_arena_head(channel, state.arenaPosition)
    }
    state.finished += count
    return true
  }

  private func record(succeeded count: Int, _ after: inout Aftermath) {
    var change = PoolCore.LedgerChange()
    change.succeeded = count
    if pool.record(change) { after.becameIdle = true }
  }

  private func record(_ failure: ItemFailure, _ after: inout Aftermath) {
    var change = PoolCore.LedgerChange()
    change.add(failure)
    if pool.record(change) { after.becameIdle = true }
  }

  /// The front record is done: its place in the ring is free.
  private func finish(skipped: Int, _ after: inout Aftermath) {
    let entry = state.outstanding[state.front]
    if let offset = entry.arenaOffset { _ = unsafe mproc_arena_release(arguments, offset) }
    unsafe mproc_ring_set_limit(channel, entry.end)
    if skipped > 0 {
      var change = PoolCore.LedgerChange()
      change.cancelled = skipped
      if pool.record(change) { after.becameIdle = true }
    }
    let job = entry.submission.job
    if let ended = after.ended, ended.job !== job { flush(&after) }
    after.ended = (job, (after.ended?.records ?? 0) + 1, (after.ended?.items ?? 0) + entry.submission.count)
    state.front += 1
    load.store(state.outstanding.count - state.front, ordering: .relaxed)
  }

  /// Forgets finished entries now and then, so that taking one costs nothing.
  private func compact() {
    if state.front == state.outstanding.count {
      state.outstanding.removeAll(keepingCapacity: true)
      state.front = 0
    } else if state.front > 1024, state.front > state.outstanding.count / 2 {
      state.outstanding.removeFirst(state.front)
      state.front = 0
    }
  }

  // MARK: - Cancelling

  /// Asks the worker to end what it has of `job`, and ends the worker when it has not in time.
  func cancel(_ job: PoolJob, grace: Duration?) {
    let (numbers, process) = lock.withLock { _ in
      (
        state.outstanding[state.front...].filter { $0.submission.job === job }.map(\.number), state.process
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
      (Array(state.outstanding[state.front...]), state.process)
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
    lock.withLock { _ in state.outstanding[state.front...].contains { $0.number == number } }
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
    while state.front < state.outstanding.count {
      let entry = state.outstanding[state.front]
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
        state.front += 1
      }
    }
    load.store(0, ordering: .relaxed)
    return rest
  }

  /// Keeps the results that the cursor counts; the item after them is the one that ran.
  private func chargeCrash(_ status: ExitStatus, _ after: inout Aftermath) {
    let entry = state.outstanding[state.front]
    let submission = entry.submission
    savePartialResults(&after)
    let received = state.outstanding[state.front].received
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
    let entry = state.outstanding[state.front]
    var items: UInt32 = 0
    var byteCount: UInt64 = 0
    unsafe mproc_channel_peer_cursor(channel, &items, &byteCount)
    let header = MemoryLayout<CompletionHeader>.size
    var payload: UnsafeRawPointer?
    guard Int(items) > entry.received, Int(items) <= entry.submission.count, byteCount >= UInt64(header),
      unsafe mproc_ring_peek_partial(channel, Int(byteCount), &payload) == 1, let payload = unsafe payload
    else { return }
    let count = Int(items) - entry.received
    let bytes = unsafe UnsafeRawBufferPointer(start: payload + header, count: Int(byteCount) - header)
    let head = unsafe payload.loadUnaligned(as: CompletionHeader.self)
    guard head.number == entry.number, Int(head.first) == entry.received,
      unsafe entry.submission.job.receive(first: entry.submission.first + entry.received, count: count, bytes)
    else { return }
    state.outstanding[state.front].received += count
    record(succeeded: count, &after)
  }

  /// The arguments of a record that the worker has not begun, from memory that it cannot write.
  private func argumentBytes(of entry: Entry) -> EncodedArguments {
    let capacity = unsafe channel.pointee.own_capacity
    let offset = Int(entry.start & (capacity - 1)) + Int(MPROC_RECORD_HEADER_SIZE)
    let size = Int(entry.end - entry.start) - Int(MPROC_RECORD_HEADER_SIZE)
    let record = unsafe UnsafeRawBufferPointer(start: channel.pointee.own_ring + offset, count: size)
    let headerSize = MemoryLayout<TaskHeader>.size
    guard entry.arenaOffset != nil else {
      return unsafe EncodedArguments(copying: UnsafeRawBufferPointer(rebasing: record[headerSize...]))
    }
    let reference = unsafe record.loadUnaligned(fromByteOffset: headerSize, as: ArenaReference.self)
    var bytes: UnsafeRawPointer?
    let result = unsafe mproc_arena_view(arguments, reference.offset, reference.byteCount, &bytes)
    precondition(result == 0, "the application's own arena does not hold what was put there")
    return unsafe EncodedArguments(
      copying: UnsafeRawBufferPointer(start: bytes, count: Int(reference.byteCount)))
  }
}

// MARK: - Starting a worker

extension WorkerChannel {
  /// A worker that has been started and sets itself up.
  struct Launched {
    let channel: WorkerChannel
    let process: LaunchedProcess
  }

  static func launch(_ index: Int, _ cpus: CPUSet?, _ pool: PoolCore) throws(ProcessError) -> Launched {
    let submissions = try check(mproc_segment_create(Sizes.ring, 0), "a worker's shared memory")
    defer { _ = mproc_close(submissions) }
    let completions = try check(mproc_segment_create(Sizes.ring, 0), "a worker's shared memory")
    defer { _ = mproc_close(completions) }
    let argumentArena = try check(mproc_arena_create(Sizes.arena), "a worker's shared memory")
    let resultArena = mproc_arena_create(Sizes.arena)
    if resultArena < 0 { _ = mproc_close(argumentArena) }
    try check(resultArena, "a worker's shared memory")
    let argumentReader = mproc_arena_reader(argumentArena)
    let resultReader = mproc_arena_reader(resultArena)
    defer {
      if argumentReader >= 0 { _ = mproc_close(argumentReader) }
      _ = mproc_close(resultArena)
    }
    var own = unsafe mproc_segment()
    var peer = unsafe mproc_segment()
    var arguments: OpaquePointer?
    var results: OpaquePointer?
    let openedArguments = unsafe mproc_arena_open(argumentArena, 1, &arguments)
    let openedResults = unsafe mproc_arena_open(resultReader, 0, &results)
    let mappedOwn = unsafe mproc_segment_map(submissions, Int32(MPROC_SEGMENT_WRITABLE), &own)
    let mappedPeer = unsafe mproc_segment_map(completions, 0, &peer)
    guard openedArguments == 0, openedResults == 0, mappedOwn == 0, mappedPeer == 0,
      argumentReader >= 0, let arguments = unsafe arguments, let results = unsafe results
    else {
      unsafe mproc_segment_unmap(&own)
      unsafe mproc_segment_unmap(&peer)
      unsafe mproc_arena_close(arguments)
      unsafe mproc_arena_close(results)
      let results: [Int32] = [openedArguments, openedResults, mappedOwn, mappedPeer, argumentReader]
      let error = results.min() ?? 0
      throw .startFailed(Errno(rawValue: CInt(-error)), operation: "mapping a worker's shared memory")
    }
    _ = mproc_segment_seal(submissions)
    let channel = unsafe WorkerChannel(index, cpus, pool, own, peer, arguments, results)
    var request = pool.startRequest(index, cpus)
    request.submissions = submissions
    request.completions = completions
    request.argumentArena = argumentReader
    request.resultArena = resultArena
    return Launched(channel: channel, process: try ManagedProcess.launch(request, pool.environment))
  }
}
