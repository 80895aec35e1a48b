// The application's side of one worker process: its rings, what was sent and has not come back, and what
// happens when it dies.
//
// One lock guards it all. It is held for a copy into a ring or out of one, never while code of the user's
// runs. A caller that waits spins on the completion ring's tail without the lock. When nobody spins and
// something is outstanding, the channel is armed: the worker rings the pool's bell.

internal import CMultiprocessing
internal import Glibc
internal import Synchronization

// `lock` guards `state` and what the pointers lead to.
@safe
final class WorkerChannel: @unchecked Sendable {
  enum SubmitResult {
    case sent, full, dead
    /// There is no memory for the arguments, and nothing will free some.
    case impossible
  }

  struct Sizes {
    static let ring: UInt64 = 256 * 1024
    static let arena: UInt64 = 64 << 30
    /// Arguments of more bytes go through the arena.
    static let inlineLimit = 64 * 1024
  }

  /// What is left to do when the lock is released.
  struct Aftermath {
    private var firstWake: PoolJob?
    private var otherWakes: [PoolJob] = []
    var drained = false
    var becameIdle = false
    /// Of jobs that show nothing before they are told so: recorded once for all.
    var ledger = PoolLedger.Change()
    /// Records of one job that ended, and their items.
    var endedJob: PoolJob?
    var endedRecords = 0
    var endedItems = 0
    /// What is to be sent again, or to be decided about.
    var returned: [ReturnedRecord] = []
    /// For the timeline; nil: nothing, or there is none.
    var traced: [TraceEvent]?

    mutating func wake(_ job: PoolJob) {
      if firstWake == nil {
        firstWake = job
      } else if firstWake !== job, otherWakes.last !== job {
        otherWakes.append(job)
      }
    }

    func wakeAll() {
      firstWake?.wake()
      for job in otherWakes { job.wake() }
    }
  }

  enum Phase {
    case starting, serving, stopping, closed
  }

  struct State: ~Copyable {
    var outstanding = OutstandingRecords()
    var lastNumber: UInt64 = 0
    var defined: [Bool] = []
    var attached: Set<UInt64> = []
    var phase = Phase.starting
    /// Why it was told to end, or is to be told.
    var stopReason: StopReason?
    /// It wrote nonsense: what it says of its progress is not to be relied upon.
    var isDamaged = false
    /// All was cancelled: nothing comes any more.
    var isRefusing = false
    var owesStop = false
    var idleSince: UInt64 = 0
    /// Since when the first record is the first, by the reactor's clock; whether a timer looks at it.
    var frontSince: UInt64 = 0
    var isWatched = false
    /// Items of tasks that it has been given.
    var sentItems = 0
    var isArmed = false
    var spinners = 0
    var arenaPosition: UInt64 = 0
    var finished = 0
    var traffic = Traffic()
    /// When it became ready, and how long it had waited by then.
    var readyAt: UInt64 = 0
    var waitedBefore: UInt64 = 0
    /// Of the first record, once it has ended, for the timeline.
    var frontTimes: RecordTimes?
    var frontFailure: (item: Int, ending: TraceEvent.Ending)?
    var process: ManagedProcess?
  }

  let index: Int
  let requestedCPUs: CPUSet?
  private let witness: CrashWitness
  let launchedAt = mproc_now_ns()
  let pool: PoolCore
  let isTraced: Bool
  let channel: UnsafeMutablePointer<mproc_channel>
  private var submissions: mproc_segment
  private var completions: mproc_segment
  let arguments: OpaquePointer
  let results: OpaquePointer
  let lock = Mutex(())
  private let stateStorage: UnsafeMutablePointer<State>
  /// Only with the lock held. A pointer, because the compiler's check for overlapping access to a class's
  /// properties costs more than the work on them.
  var state: State {
    unsafeAddress { unsafe UnsafePointer(stateStorage) }
    unsafeMutableAddress { unsafe stateStorage }
  }
  /// How many records are outstanding, for choosing a worker without the lock.
  let load = Atomic<Int>(0)

  var outstandingCount: Int { load.load(ordering: .relaxed) }

  let live = Atomic<Bool>(false)
  let lastMemoryCheck = Atomic<UInt64>(0)

  /// Whether it takes tasks: no longer starting, not told to end, not ended.
  var isLive: Bool { live.load(ordering: .relaxed) }

  init(
    _ index: Int, _ requestedCPUs: CPUSet?, _ pool: PoolCore, _ submissions: mproc_segment,
    _ completions: mproc_segment, _ arguments: OpaquePointer, _ results: OpaquePointer,
    _ witness: CrashWitness
  ) {
    self.index = index
    self.requestedCPUs = requestedCPUs
    self.witness = witness
    self.pool = pool
    isTraced = pool.trace != nil
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

  /// With the lock released.
  func settle(_ aftermath: Aftermath) {
    if aftermath.becameIdle { pool.ledger.wakeWaiters() }
    if let events = aftermath.traced { pool.trace?.post(events) }
    aftermath.wakeAll()
    if aftermath.drained { checkMemory() }
    for record in aftermath.returned { pool.takeBack(record) }
    if aftermath.drained, !pool.queue.isEmpty { pool.sendPending(to: self) }
  }

  // MARK: - The process

  func attach(_ process: ManagedProcess) { lock.withLock { _ in state.process = process } }

  var info: ProcessPool.WorkerInfo {
    let (process, finished, phase) = lock.withLock { _ in
      (state.process, state.finished, state.phase)
    }
    let pid = process?.pid ?? 0
    let isRunning = process?.isRunning ?? false
    return ProcessPool.WorkerInfo(
      id: index, processIdentifier: pid,
      state: workerState(phase, hasProcess: process != nil, isRunning: isRunning),
      requestedCPUs: requestedCPUs, verifiedCPUs: process?.effectiveCPUs, taskCount: finished,
      residentByteCount: max(0, Int(mproc_resident_bytes(pid))))
  }

  /// Once the process has ended: reads what it has left, without waiting.
  func crashReport(_ status: ExitStatus) -> CrashReport {
    let process = process
    return witness.report(
      process?.pid ?? 0, workerIndex: index, status,
      unsafe completions.header.flatMap { unsafe CrashRecord($0) },
      wasKilled: process?.wasKilled == true)
  }

  var process: ManagedProcess? { lock.withLock { _ in state.process } }

  private func workerState(
    _ phase: Phase, hasProcess: Bool, isRunning: Bool
  ) -> ProcessPool.WorkerInfo.State {
    if !hasProcess { return .starting }
    if !isRunning { return .dead }
    switch phase {
    case .starting: return .starting
    case .serving: return outstandingCount > 0 ? .busy : .idle
    case .stopping, .closed: return .stopping
    }
  }
}
