// The main thread of a child process: it runs one Swift task, which calls bodies inline, and the main
// queue's work, which is the main actor's, while that task is suspended.
//
// The task prefers this executor, so a body's own code runs on the main thread, also after an await. Child
// tasks of a body inherit the preference; they are sent on to the global executor, so that they run in
// parallel.

internal import CMultiprocessing
internal import Synchronization

/// The executor of a child's main thread.
final class MainThread: TaskExecutor {
  static let shared = MainThread()

  private struct State {
    var queue: [UnownedJob] = []
    /// The task that runs bodies; its address is its identity as a job.
    var runner: UInt = 0
    var runnerIsStarting = false
  }

  private let state = Mutex(State())
  private let wakeDescriptor: Int32

  private init() {
    wakeDescriptor = mproc_eventfd()
    precondition(wakeDescriptor >= 0, "no descriptor for the main thread: errno \(-wakeDescriptor)")
  }

  /// Runs `body` as a task on the calling thread, which must be the main thread, until it has ended.
  /// `willStart` gets the task before its first instruction, so that it can be cancelled.
  func run(
    _ willStart: (Task<Void, Never>) -> Void, _ body: sending @escaping @concurrent () async -> Void
  ) {
    let done = DoneFlag()
    state.withLock { $0.runnerIsStarting = true }
    let task = Task(executorPreference: self) {
      self.noteRunner()
      await body()
      done.set()
      _ = mproc_eventfd_ring(self.wakeDescriptor)
    }
    willStart(task)
    while !done.isSet {
      if let job = state.withLock({ $0.queue.isEmpty ? nil : $0.queue.removeFirst() }) {
        unsafe job.runSynchronously(on: asUnownedTaskExecutor())
      } else {
        mproc_main_thread_wait(wakeDescriptor)
      }
    }
  }

  private func noteRunner() {
    let address = unsafe withUnsafeCurrentTask { task in
      unsafe task.map { unsafe unsafeBitCast($0, to: UInt.self) } ?? 0
    }
    state.withLock {
      $0.runner = address
      $0.runnerIsStarting = false
    }
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    let address = unsafe unsafeBitCast(job, to: UInt.self)
    let isRunner = state.withLock { state in
      guard address == state.runner || state.runnerIsStarting else { return false }
      state.queue.append(job)
      return true
    }
    if isRunner {
      _ = mproc_eventfd_ring(wakeDescriptor)
    } else {
      globalConcurrentExecutor.enqueue(job)
    }
  }
}

private final class DoneFlag: Sendable {
  private let flag = Atomic<Bool>(false)
  var isSet: Bool { flag.load(ordering: .acquiring) }
  func set() { flag.store(true, ordering: .releasing) }
}
