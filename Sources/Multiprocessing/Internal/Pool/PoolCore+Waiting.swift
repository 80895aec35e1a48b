// Who waits how: spinning where a CPU is to spare, the bell otherwise; and how long items take.

internal import CMultiprocessing
internal import Synchronization

extension PoolCore {
  /// How long a caller spins for a result before it suspends.
  var callerSpin: UInt64 {
    switch configuration.waiting {
    case .adaptive: 20_000
    case .spin: 2_000_000
    case .block: 0
    }
  }

  /// Spinning takes a CPU that a busy worker may need.
  ///
  /// - Parameter busy: How many workers have something to do.
  func maySpin(on channel: WorkerChannel, busy: Int) -> Bool {
    guard configuration.waiting != .block, usableCPUs > max(1, busy) else { return false }
    return itemTime.load(ordering: .relaxed) < Int(callerSpin) && moveAway(from: channel)
  }

  /// Whether a caller that spins takes no CPU from a busy worker.
  var hasSpareCPU: Bool {
    usableCPUs
      > slots.withLock { slots in
        var busy = 0
        slots.forEach { if $0.outstandingCount > 0 { busy += 1 } }
        return busy
      }
  }

  /// Leaves the CPU of a worker that is bound to it, or was last seen on it: both would wait for each other
  /// there, while others are idle. False when the caller has to stay.
  func moveAway(from channel: WorkerChannel) -> Bool {
    guard channel.sharesCallersCPU else { return true }
    // A thread that may run nowhere else is not asked for ever.
    let now = mproc_now_ns()
    let last = lastMove.load(ordering: .relaxed)
    guard now - last > 200_000 else { return false }
    lastMove.store(now, ordering: .relaxed)
    return mproc_leave_cpu(mproc_current_cpu())
  }

  /// Whether the worker is to measure the next record: now and then, because it costs 50 ns.
  func needsTiming() -> Bool {
    timingCounter.wrappingAdd(1, ordering: .relaxed).newValue & 15 == 1
  }

  /// What a worker measured.
  func noteItemTime(_ sample: Int) {
    let old = itemTime.load(ordering: .relaxed)
    itemTime.store(old == 0 ? sample : (old * 3 + sample) / 4, ordering: .relaxed)
  }

  func bellRang() {
    _ = mproc_eventfd_take(bell)
    for channel in channels() { channel.bellRang() }
  }
}
