// Waiting until a descriptor is ready.

internal import CMultiprocessing
internal import Glibc
internal import Synchronization

/// One wait of a task, which several may end: the descriptor, a deadline, a cancellation, a close.
final class DescriptorWait: Sendable {
  private struct State {
    var isOver = false
    var continuation: CheckedContinuation<Void, Never>?
  }

  private let state = Mutex(State())

  /// Ends the wait, now or before it begins.
  func finish() {
    let continuation = state.withLock { state in
      defer { state.continuation = nil }
      state.isOver = true
      return state.continuation
    }
    continuation?.resume()
  }

  /// Returns when the descriptor is ready, when `deadline` (of `mproc_now_ns`) has passed, or `finish` was called; who
  /// calls it looks at what it waits for again. Throws `CancellationError`.
  ///
  /// Cost: some microseconds, and a descriptor meanwhile: another wait may be for the same one.
  func wait(_ descriptor: Int32, forOutput: Bool, deadline: UInt64?) async throws {
    let reactor = try Reactor.shared()
    let copy = try check(mproc_duplicate(descriptor), "duplicating a descriptor")
    defer { _ = mproc_close(copy) }
    let token = try reactor.addOnce(copy, forOutput: forOutput) { [self] in finish() }
    defer { reactor.remove(token, copy) }
    let timer = deadline.map { deadline in
      reactor.schedule(after: .nanoseconds(Int64(clamping: remaining(deadline)))) { [self] in
        finish()
      }
    }
    defer { if let timer { reactor.cancel(timer) } }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isOver = state.withLock { state in
          if !state.isOver { state.continuation = continuation }
          return state.isOver
        }
        if isOver { continuation.resume() }
      }
    } onCancel: {
      finish()
    }
    try Task.checkCancellation()
  }

  /// Nanoseconds until a time of `mproc_now_ns`.
  private func remaining(_ deadline: UInt64) -> UInt64 {
    let now = mproc_now_ns()
    return deadline > now ? deadline - now : 0
  }

  /// The blocking form, for at most `slice` milliseconds.
  static func block(_ descriptor: Int32, forOutput: Bool, deadline: UInt64?, slice: Int32) {
    var limit = slice
    if let deadline {
      let now = mproc_now_ns()
      let left = deadline > now ? (deadline - now + 999_999) / 1_000_000 : 0
      limit = min(limit, Int32(clamping: left))
    }
    _ =
      forOutput
      ? mproc_wait_writable(descriptor, limit) : mproc_wait_readable(descriptor, limit)
  }
}
