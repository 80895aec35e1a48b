// Threads that wait for work, each bound to its CPUs, for the serial and the threads baselines. A
// thread sleeps on a semaphore of its own between jobs; the last to finish a job resumes whoever
// waits for it.

internal import Glibc
internal import ProcessorTopology
internal import Synchronization

final class ThreadCrew: Sendable {
  private let members: [Member]

  /// Starts one thread for each set and binds it; an empty set leaves its thread unbound.
  ///
  /// - Throws: The first thread's `PlacementError`, or ``ScalingError/threadStart(_:)``.
  init(cpuSets: [CPUSet]) async throws {
    var members: [Member] = []
    do {
      for index in cpuSets.indices { members.append(try Member(index: index)) }
    } catch {
      for member in members { member.finish() }
      throw error
    }
    self.members = members
    let failure = Mutex<PlacementError?>(nil)
    await runOnAll { index in
      if cpuSets[index].isEmpty { return }
      do throws(PlacementError) {
        try CPUAffinity.set(cpuSets[index])
      } catch {
        failure.withLock { $0 = $0 ?? error }
      }
    }
    if let error = failure.withLock({ $0 }) {
      finish()
      throw error
    }
  }

  /// Runs `body` once on every thread, with the thread's number; returns when all have run it.
  func runOnAll(_ body: @escaping @Sendable (Int) -> Void) async {
    await withCheckedContinuation { continuation in
      let job = Job(body: body, count: members.count) { continuation.resume() }
      for member in members { member.start(job) }
    }
  }

  /// Ends the threads and waits for their end. No job may be running.
  func finish() {
    for member in members { member.finish() }
  }
}

// MARK: - Jobs

private final class Job: Sendable {
  private let body: @Sendable (Int) -> Void
  private let remaining: Atomic<Int>
  private let whenDone: @Sendable () -> Void

  init(
    body: @escaping @Sendable (Int) -> Void, count: Int, whenDone: @escaping @Sendable () -> Void
  ) {
    self.body = body
    self.whenDone = whenDone
    remaining = Atomic(count)
  }

  func run(by index: Int) {
    body(index)
    if remaining.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0 { whenDone() }
  }
}

// MARK: - Threads

/// A running thread and where it gets its work from.
private struct Member: Sendable {
  private let mailbox: Mailbox
  private let thread: JoinableThread

  init(index: Int) throws(ScalingError) {
    let mailbox = Mailbox(index: index)
    self.mailbox = mailbox
    thread = try JoinableThread { mailbox.work() }
  }

  func start(_ job: Job) {
    mailbox.put(job)
  }

  func finish() {
    mailbox.put(nil)
    thread.join()
  }
}

/// Room for one job, and the semaphore that its reader sleeps on. `@unchecked`: the pointer never
/// changes, and what it points to is made for use by many threads.
@safe
private final class Mailbox: @unchecked Sendable {
  private let index: Int
  private let job = Mutex<Job?>(nil)
  private let filled: UnsafeMutablePointer<sem_t>

  init(index: Int) {
    self.index = index
    unsafe filled = .allocate(capacity: 1)
    unsafe sem_init(filled, 0, 0)
  }

  deinit {
    unsafe sem_destroy(filled)
    unsafe filled.deallocate()
  }

  /// Wakes the reader; without a job it ends.
  func put(_ job: Job?) {
    self.job.withLock { $0 = job }
    unsafe sem_post(filled)
  }

  /// Runs jobs until it is woken without one.
  func work() {
    while true {
      while unsafe sem_wait(filled) != 0 {}  // Only a signal interrupts it.
      guard let next = job.withLock({ $0.take() }) else { return }
      next.run(by: index)
    }
  }
}
