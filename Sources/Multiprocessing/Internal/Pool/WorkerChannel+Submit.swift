// Submitting: records go into the worker's ring, and into the list of what is outstanding.

internal import CMultiprocessing
internal import Synchronization

extension WorkerChannel {
  /// Sends a record when fewer than `limit` are outstanding. With `spins` the caller promises a call of
  /// `stopSpinning`.
  func submit(
    _ submission: Submission, limit: Int, spins: Bool, _ arguments: UnsafeRawBufferPointer
  ) -> SubmitResult {
    var after = Aftermath()
    let result = lock.withLock { _ -> SubmitResult in
      guard state.phase == .serving, !state.isRefusing else { return .dead }
      guard state.outstanding.count < limit else { return .full }
      guard takesItems(submission.count) else { return .dead }
      guard unsafe send(submission, arguments) else {
        return state.outstanding.isEmpty ? .impossible : .full
      }
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

  /// Sends the record that comes before all others.
  func submitFirst(_ record: PendingRecord) -> SubmitResult {
    var after = Aftermath()
    let result = lock.withLock { _ -> SubmitResult in
      // One that is to end gets it all the same: its end then ends the record. One that has ended would keep it.
      guard state.phase != .closed else { return .dead }
      guard unsafe record.arguments.withBytes({ unsafe send(record.submission, $0) }) else {
        return .impossible
      }
      state.sentItems = 0
      arm(&after)
      publish()
      return .sent
    }
    settle(after)
    return result
  }

  /// Sends what waited.
  func submitPending(_ record: PendingRecord, limit: Int) -> SubmitResult {
    unsafe record.arguments.withBytes {
      unsafe submit(record.submission, limit: limit, spins: false, $0)
    }
  }

  /// Sends records of `count` items each, whose encoded items lie in `bytes` between the `ends`, and shows the
  /// worker all of them at once. How many there was room for.
  func submitBatch(
    _ first: Submission, _ bytes: UnsafeRawBufferPointer, ends: [Int], timesEach: Bool
  ) -> Int {
    var after = Aftermath()
    let sent = lock.withLock { _ -> Int in
      guard state.phase == .serving, !state.isRefusing else { return 0 }
      var submission = first
      var start = 0
      var sent = 0
      for end in ends {
        submission.isTimed = timesEach || sent & 15 == 0
        let record = unsafe UnsafeRawBufferPointer(rebasing: bytes[start..<end])
        guard takesItems(submission.count), unsafe send(submission, record) else { break }
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

  /// False when there is no room.
  private func send(_ submission: Submission, _ bytes: UnsafeRawBufferPointer) -> Bool {
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
      state.traffic.large += bytes.count
    }
    state.traffic.arguments += bytes.count
    let flags = isInline ? 0 : TaskHeader.isInArena
    unsafe room.storeBytes(of: header(submission, flags: flags), as: TaskHeader.self)
    commit(submission, size: size, arenaOffset: arenaOffset)
    return true
  }

  /// The worker knows the body and the shared memory that the arguments name.
  private func prepare(_ submission: Submission) -> Bool {
    guard define(submission.job.body) else { return false }
    guard let extras = submission.extras else { return true }
    for descriptor in extras.descriptors
    where state.attached.insert(descriptor.number).inserted {
      state.traffic.shared += descriptor.byteCount
      state.process?.attach(descriptor)
      descriptor.whenReleased { [weak self] in self?.detach($0) }
    }
    return true
  }

  /// Nothing refers to the descriptor any more: the worker need not keep it.
  private func detach(_ number: UInt64) {
    let isLate = lock.withLock { _ in
      guard state.attached.contains(number), let process = state.process else { return false }
      guard process.detach(number) else { return true }
      state.attached.remove(number)
      return false
    }
    // A stopped process takes no commands.
    guard isLate, let reactor = try? Reactor.shared() else { return }
    reactor.schedule(after: .milliseconds(10)) { [weak self] in self?.detach(number) }
  }

  private func header(_ submission: Submission, flags: UInt32) -> TaskHeader {
    TaskHeader(
      number: state.lastNumber + 1, body: submission.job.body.number,
      count: UInt32(submission.count),
      flags: flags | (submission.isTimed ? TaskHeader.isTimed : 0)
        | (isTraced ? TaskHeader.isTraced : 0))
  }

  private func commit(_ submission: Submission, size: Int, arenaOffset: UInt64?) {
    unsafe mproc_ring_commit(channel, size, SubmissionKind.tasks)
    let end = unsafe channel.pointee.tail
    state.lastNumber += 1
    state.outstanding.append(
      OutstandingRecords.Entry(
        number: state.lastNumber, start: end - mproc_ring_record_size(UInt64(size)), end: end,
        submission: submission, arenaOffset: arenaOffset))
    load.store(state.outstanding.count, ordering: .relaxed)
    countItems(submission.count)
    if state.outstanding.count == 1 { noteNewFront() }
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

  func publish() {
    unsafe mproc_channel_set_cpu(channel, mproc_current_cpu())
    unsafe mproc_ring_publish(channel)
    if unsafe mproc_channel_peer_sleeps(channel, MPROC_WORD_TAIL) {
      _ = unsafe mproc_channel_wake(channel, MPROC_WORD_TAIL)
    }
  }
}
