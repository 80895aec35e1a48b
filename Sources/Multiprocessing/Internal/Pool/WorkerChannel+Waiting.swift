// Waiting for a worker: somebody spins and takes completions, or the worker rings the pool's bell.

internal import CMultiprocessing
internal import Synchronization

extension WorkerChannel {
  func disarm() {
    unsafe mproc_channel_end_sleep(channel)
    state.isArmed = false
  }

  /// From now on the worker rings the bell; what is there already is taken.
  func arm(_ after: inout Aftermath) {
    repeat {
      takeCompletions(&after)
      state.isArmed = true
      unsafe mproc_channel_announce_sleep(channel, MPROC_WORD_TAIL)
    } while unsafe mproc_ring_has_records(channel) && state.phase != .closed
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
      if state.spinners == 0, !state.outstanding.isEmpty { arm(&after) }
    }
    settle(after)
  }

  /// The bell rang: takes what has come and arms again.
  func bellRang() {
    var after = Aftermath()
    lock.withLock { _ in
      if state.isArmed { disarm() }
      takeCompletions(&after)
      if state.spinners == 0, !state.outstanding.isEmpty { arm(&after) }
    }
    settle(after)
  }
}
