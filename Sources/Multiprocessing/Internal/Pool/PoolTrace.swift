// The timeline of a pool: a file in the Trace Event Format, written while the pool works.
//
// Events are collected where they happen and written by a task of Swift's pool, so that nothing waits for the
// file, unless the writer falls far behind. The file's end is written anew with each piece and the next piece
// overwrites it: after every write the file is complete.

internal import CMultiprocessing
internal import Glibc
internal import Synchronization
internal import SystemPackage

final class PoolTrace: Sendable {
  private struct File {
    /// -1: closed.
    var descriptor: Int32
    /// Where the next event goes, which is where the end stands.
    var position: UInt64 = 0
    var namedRows: Set<Int> = []
  }

  /// Whoever posts beyond so many events that wait writes them himself.
  private static let backlogLimit = 1 << 15

  private let pending = Mutex<[TraceEvent]>([])
  private let file: Mutex<File>
  private let lastJob = Atomic<UInt64>(0)
  /// Hears once why the file could not be written.
  private let failed: @Sendable (Errno) -> Void

  /// - Parameter name: What the rows belong to.
  init(
    _ path: FilePath, name: String, failed: @escaping @Sendable (Errno) -> Void
  ) throws(ProcessError) {
    let descriptor = unsafe path.withPlatformString { unsafe mproc_file_create($0) }
    guard descriptor >= 0 else { throw Self.problem(path, Errno(rawValue: -descriptor)) }
    self.failed = failed
    file = Mutex(File(descriptor: descriptor))
    let result = file.withLock { file in
      var start = TraceText()
      start.begin(processName: name)
      return append(start, to: &file)
    }
    guard result >= 0 else { throw Self.problem(path, Errno(rawValue: -result)) }
  }

  private static func problem(_ path: FilePath, _ error: Errno) -> ProcessError {
    let reason =
      switch error {
      case .resourceBusy: "another pool writes to it"
      case .illegalSeek: "it is not a regular file"
      default: "\(error) (errno \(error.rawValue))"
      }
    return .invalidConfiguration("trace: cannot write to \(path): \(reason)")
  }

  deinit { finish() }

  /// A number for a job that has none yet.
  func number(of job: PoolJob) -> UInt64 {
    let old = job.traceNumber.load(ordering: .relaxed)
    if old != 0 { return old }
    let new = lastJob.add(1, ordering: .relaxed).newValue
    let (exchanged, original) = job.traceNumber.compareExchange(
      expected: 0, desired: new, ordering: .relaxed)
    return exchanged ? new : original
  }

  func post(_ event: TraceEvent) { post([event]) }

  /// With no lock held.
  func post(_ events: [TraceEvent]) {
    let (starts, isBehind) = pending.withLock { pending in
      let starts = pending.isEmpty
      pending.append(contentsOf: events)
      return (starts, pending.count > Self.backlogLimit)
    }
    if isBehind {
      write()
    } else if starts {
      Task.detached { self.write() }
    }
  }

  private func write() {
    let result = file.withLock { file -> Int32 in
      let events = pending.withLock { pending in
        defer { pending = [] }
        return pending
      }
      guard file.descriptor >= 0, !events.isEmpty else { return 0 }
      var text = TraceText()
      for event in events {
        if file.namedRows.insert(event.row).inserted { text.add(rowName: event.row) }
        text.add(event)
      }
      return append(text, to: &file)
    }
    if result < 0 { failed(Errno(rawValue: -result)) }
  }

  private func append(_ text: consuming TraceText, to file: inout File) -> Int32 {
    let size = text.bytes.count
    text.end()
    let result = unsafe text.bytes.withUnsafeBytes { bytes in
      unsafe mproc_write_at(file.descriptor, bytes.baseAddress, bytes.count, file.position)
    }
    if result < 0 { close(&file) } else { file.position += UInt64(size) }
    return result
  }

  private func close(_ file: inout File) {
    if file.descriptor >= 0 { _ = mproc_file_close(file.descriptor) }
    file.descriptor = -1
  }

  /// Writes what there is; what comes later is dropped.
  func finish() {
    write()
    file.withLock { close(&$0) }
  }
}

// MARK: - Events

/// One thing to be seen in the timeline. Times are nanoseconds of `mproc_now_ns`.
struct TraceEvent: Sendable {
  enum Ending: String, Sendable {
    case succeeded, failed, crashed, cancelled, timedOut

    init(_ failure: ItemFailure) {
      switch failure {
      case .outcome(let bytes):
        self = bytes.first == OutcomeTag.cancelled.rawValue ? .cancelled : .failed
      case .crashed: self = .crashed
      case .cancelled: self = .cancelled
      case .error(ProcessError.timedOut): self = .timedOut
      case .error: self = .failed
      }
    }
  }

  enum Arguments: Sendable {
    case items(job: UInt64, first: Int, count: Int, process: pid_t, Ending)
    case retry(job: UInt64, item: Int, attempt: Int)
    case process(pid_t, reason: String?)
  }

  /// 0: the pool's; a worker's is its index and 1.
  var row: Int
  var name: String
  var category: String
  var began: UInt64
  /// nil: an instant.
  var ended: UInt64?
  var arguments: Arguments
}

extension WorkerChannel {
  /// The front record ends now: what is to be seen of it. With the lock held.
  func traceFront(_ after: inout Aftermath) {
    defer {
      state.frontTimes = nil
      state.frontFailure = nil
    }
    guard let trace = pool.trace, let times = state.frontTimes ?? timesUpToNow else { return }
    let submission = state.outstanding.first.submission
    let now = mproc_now_ns()
    let began = min(max(times.began, launchedAt), now)
    if after.traced == nil { after.traced = [] }
    after.traced?.append(
      TraceEvent(
        row: index + 1, name: submission.job.body.label, category: submission.job.kind,
        began: began, ended: min(max(times.ended, began), now),
        arguments: .items(
          job: trace.number(of: submission.job), first: submission.first,
          count: (state.frontFailure?.item).map { $0 + 1 } ?? submission.count,
          process: state.process?.pid ?? 0, state.frontFailure?.ending ?? .succeeded)))
  }

  /// Of a record that was begun, and whose worker has died; nil: it was not begun.
  private var timesUpToNow: RecordTimes? {
    guard unsafe mproc_channel_peer_accepted(channel) == state.outstanding.first.start else {
      return nil
    }
    return unsafe RecordTimes(began: mproc_channel_peer_began(channel), ended: UInt64.max)
  }

  /// Something that happens to the worker now; without the lock.
  func traceInstant(_ name: String, reason: String? = nil) {
    guard let trace = pool.trace else { return }
    trace.post(
      TraceEvent(
        row: index + 1, name: name, category: "worker", began: mproc_now_ns(), ended: nil,
        arguments: .process(process?.pid ?? 0, reason: reason)))
  }

  /// The time from the worker's launch until it was ready.
  func traceStartUp() {
    guard let trace = pool.trace else { return }
    let (ready, pid) = lock.withLock { _ in (state.readyAt, state.process?.pid) }
    guard ready > 0 else { return }
    trace.post(
      TraceEvent(
        row: index + 1, name: "start-up", category: "worker", began: launchedAt, ended: ready,
        arguments: .process(pid ?? 0, reason: nil)))
  }
}

extension PoolCore {
  /// An item is tried again, having been run so many times.
  func traceRetry(_ submission: Submission, _ attempts: Int) {
    guard let trace else { return }
    trace.post(
      TraceEvent(
        row: 0, name: "retry", category: submission.job.kind, began: mproc_now_ns(), ended: nil,
        arguments: .retry(
          job: trace.number(of: submission.job), item: submission.first, attempt: attempts + 1)))
  }
}
