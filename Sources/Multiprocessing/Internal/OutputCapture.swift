// A child's standard output or error, read as it comes, so that the child never blocks on a full pipe.

internal import CMultiprocessing
internal import Glibc
internal import Synchronization

/// The application's end of a captured stream. What nobody has read yet is kept in memory.
final class OutputCapture: Sendable {
  private struct State {
    var chunks: [[UInt8]] = []
    var isAtEnd = false
    var tail = StandardErrorTail()
    var waiter: CheckedContinuation<[UInt8]?, Never>?
  }

  private static let chunkSize = 65_536

  private let descriptor: Int32
  private let keepsTail: Bool
  private let state = Mutex(State())

  /// The capture and the end to give to the child, which the caller closes.
  static func open(
    keepsTail: Bool
  ) throws(ProcessError) -> (capture: OutputCapture, childEnd: Int32) {
    var ends: (Int32, Int32) = (-1, -1)
    let result = unsafe withUnsafeMutableBytes(of: &ends) { bytes in
      unsafe mproc_private_pipe(bytes.assumingMemoryBound(to: Int32.self).baseAddress)
    }
    try check(result, "making a pipe")
    let capture = OutputCapture(ends.0, keepsTail)
    do {
      try check(mproc_set_nonblocking(ends.0), "fcntl")
      let reactor = try Reactor.shared()
      let box = TokenBox()
      let token = try reactor.add(ends.0) { [capture] in
        if !capture.receive() {
          reactor.remove(box.token.withLock { $0 }, capture.descriptor)
          capture.finish()
        }
      }
      box.token.withLock { $0 = token }
    } catch {
      mproc_private_close(ends.1)
      throw error
    }
    return (capture, ends.1)
  }

  private init(_ descriptor: Int32, _ keepsTail: Bool) {
    self.descriptor = descriptor
    self.keepsTail = keepsTail
  }

  deinit {
    mproc_private_close(descriptor)
  }

  /// False at the end.
  private func receive() -> Bool {
    while true {
      var size = 0
      let chunk = unsafe [UInt8](unsafeUninitializedCapacity: Self.chunkSize) { buffer, count in
        size = unsafe mproc_read_some(descriptor, buffer.baseAddress, buffer.count)
        count = max(0, size)
      }
      if size == -Int(EAGAIN) { return true }
      guard size > 0 else { return false }
      let waiter = state.withLock { state -> CheckedContinuation<[UInt8]?, Never>? in
        if keepsTail { state.tail.append(chunk) }
        if let waiter = state.waiter {
          state.waiter = nil
          return waiter
        }
        state.chunks.append(chunk)
        return nil
      }
      waiter?.resume(returning: chunk)
    }
  }

  /// The end of all that the child wrote before its own end. On the reactor's thread.
  func drain() -> String? {
    if !state.withLock({ $0.isAtEnd }) { _ = receive() }
    return state.withLock { $0.tail.text }
  }

  private func finish() {
    let waiter = state.withLock { state -> CheckedContinuation<[UInt8]?, Never>? in
      state.isAtEnd = true
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume(returning: nil)
  }

  /// The next bytes; nil at the end, or when the waiting task is cancelled. One consumer.
  func next() async -> [UInt8]? {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let immediate = state.withLock { state -> ([UInt8]?)? in
          if !state.chunks.isEmpty { return .some(state.chunks.removeFirst()) }
          if state.isAtEnd || Task.isCancelled { return .some(nil) }
          precondition(state.waiter == nil, "captured output has one consumer")
          state.waiter = continuation
          return nil
        }
        if let immediate { continuation.resume(returning: immediate) }
      }
    } onCancel: {
      let waiter = state.withLock { state -> CheckedContinuation<[UInt8]?, Never>? in
        defer { state.waiter = nil }
        return state.waiter
      }
      waiter?.resume(returning: nil)
    }
  }
}
