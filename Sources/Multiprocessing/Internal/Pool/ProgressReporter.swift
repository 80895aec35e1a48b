// Tells how far one map or stream is, whenever it is time to.

internal import CMultiprocessing

/// The reports of one job, made by its caller's task alone.
final class ProgressReporter {
  private enum Output {
    case handler(@Sendable (ProcessPool.Progress) -> Void)
    case lines
    case bar(ProgressDisplay.Bar)
  }

  private static let shortest: UInt64 = 100_000_000
  /// A bar shows the time, too.
  private static let clockTick: UInt64 = 1_000_000_000

  private let output: Output
  private let total: Int?
  private let interval: UInt64
  private let began: UInt64
  private var lastTime: UInt64
  private var last: ProcessPool.Progress
  private var isFinished = false
  private let reactor: Reactor
  /// Wakes the caller when it sleeps and a report is due.
  private var timer: (token: Reactor.Token, deadline: UInt64)?

  /// nil when nobody is to be told.
  init?(_ reporting: ProcessPool.ProgressReporting, total: Int?, _ reactor: Reactor) {
    self.reactor = reactor
    switch reporting {
    case .none: return nil
    case .handler(let handler):
      output = .handler(handler)
      interval = Self.shortest
    case .lines(let every):
      output = .lines
      interval = every.nanoseconds
    case .bar where ProgressDisplay.isOnTerminal:
      output = .bar(ProgressDisplay.shared.addBar())
      interval = Self.shortest
    case .bar:
      output = .lines
      interval = 5_000_000_000
    }
    self.total = total
    began = mproc_now_ns()
    lastTime = began
    last = ProcessPool.Progress(completed: 0, total: total, failed: 0)
  }

  /// Nanoseconds until a report is due; nil: not before something changes.
  func timeLeft(_ job: FedJob) -> UInt64? {
    if isFinished { return nil }
    let elapsed = mproc_now_ns() - lastTime
    if current(job) != last { return interval - min(interval, elapsed) }
    guard case .bar = output else { return nil }
    return Self.clockTick - min(Self.clockTick, elapsed)
  }

  func isDue(_ job: FedJob) -> Bool { timeLeft(job) == 0 }

  /// Before the caller sleeps: it is woken in time for the next report.
  func setTimer(_ job: FedJob) {
    guard let left = timeLeft(job) else { return }
    let now = mproc_now_ns()
    if let timer {
      // One that fires a little late will do: the caller sleeps many times between two reports.
      if now < timer.deadline, timer.deadline <= now + left + Self.shortest / 10 { return }
      reactor.cancel(timer.token)
    }
    let token = reactor.schedule(after: .nanoseconds(left)) { [weak job] in job?.poke() }
    timer = (token, now + left)
  }

  func report(_ job: FedJob) { tell(current(job)) }

  /// The last report; further calls do nothing.
  func finish(_ job: FedJob) {
    if isFinished { return }
    isFinished = true
    if let timer { reactor.cancel(timer.token) }
    tell(current(job))
  }

  private func current(_ job: FedJob) -> ProcessPool.Progress {
    let (completed, failed) = job.counts
    // An item fails a moment before it is counted as ended.
    return ProcessPool.Progress(completed: completed, total: total, failed: min(failed, completed))
  }

  private func tell(_ progress: ProcessPool.Progress) {
    last = progress
    lastTime = mproc_now_ns()
    let text = ProgressText(progress, elapsed: lastTime - began, isFinal: isFinished)
    switch output {
    case .handler(let handler): handler(progress)
    case .lines: ProgressDisplay.shared.printLine(text.summary)
    case .bar(let bar) where isFinished: ProgressDisplay.shared.finish(bar, text)
    case .bar(let bar): ProgressDisplay.shared.show(bar, text)
    }
  }
}

// MARK: - In the caller's task

extension PoolCore {
  /// Reports if it is time to. Code of the user's may run: other callers' results are not held up meanwhile.
  func reportProgress(_ job: FedJob, _ spinners: inout [WorkerChannel]) {
    guard let progress = job.progress, progress.isDue(job) else { return }
    for channel in spinners { channel.stopSpinning() }
    progress.report(job)
    spinners = startSpinning()
  }

  /// As the job's `waitForNews`, but returns also when a report is due.
  func waitForNews(_ job: FedJob, forInput: Bool) async {
    job.progress?.setTimer(job)
    await job.waitForNews(forInput: forInput)
    if let progress = job.progress, progress.isDue(job) { progress.report(job) }
  }
}
