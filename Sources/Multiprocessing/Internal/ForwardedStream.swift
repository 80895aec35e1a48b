// A stream of a process on its way through the application, into the application's own: standard error, the
// end of which goes into the report of a crash, and with `forwardsOutput` standard output.
//
// A thread of its own copies, because it may have to wait for whoever reads the application's streams.
// Meanwhile the process's pipe fills and the process waits, as if it wrote there itself; nothing else of the
// application waits. What a process has written before its end is read at its end by whoever learns of that,
// without waiting, and left to the thread to be shown.

internal import CMultiprocessing
internal import Glibc
internal import Synchronization

final class ForwardedStream: Sendable {
  /// Where its bytes go.
  enum Destination {
    /// Nowhere: they only leave their tail.
    case none
    case standardError
    /// Line by line, each behind the text.
    case lines(of: Int32, prefix: String)

    fileprivate var descriptor: Int32? {
      switch self {
      case .none: nil
      case .standardError: STDERR_FILENO
      case .lines(let descriptor, _): descriptor
      }
    }
  }

  private struct State {
    var isOpen = true
    var token: Reactor.Token?
    var tail = StandardErrorTail()
    /// Read, and not shown yet.
    var pending: [UInt8] = []
    var isWriting = false
    /// nil: bytes are shown as they come.
    var lines: LabelledLines?
    /// No more is awaited: what is left of a line is one.
    var isEnding = false

    /// Whether there is something to show that needs nothing more from the process.
    var hasRest: Bool { !pending.isEmpty || (!isOpen || isEnding) && lines?.hasRest == true }
  }

  private static let chunkBytes = 65_536
  /// What one look takes at most: others have something to say too.
  private static let mostChunks = 16
  /// What dead processes have left and nobody reads; beyond it text is dropped.
  private static let mostPendingBytes = 4 << 20
  private static let pendingBytes = Atomic<Int>(0)

  private let descriptor: Int32
  private let destination: Int32?
  private let reactor: Reactor
  private let state: Mutex<State>

  /// The stream and the end to give to the process, which the caller closes.
  static func open(
    to destination: Destination
  ) throws(ProcessError) -> (stream: ForwardedStream, childEnd: Int32) {
    mproc_reserve_standard_streams()
    let reactor = try Reactor.standardError()
    var ends: (Int32, Int32) = (-1, -1)
    let result = unsafe withUnsafeMutableBytes(of: &ends) { bytes in
      unsafe mproc_private_pipe(bytes.assumingMemoryBound(to: Int32.self).baseAddress)
    }
    try check(result, "making a pipe")
    let stream = ForwardedStream(ends.0, destination, reactor)
    do throws(ProcessError) {
      try check(mproc_set_nonblocking(ends.0), "fcntl")
      let token = try reactor.add(ends.0) { [stream] in stream.copy() }
      stream.state.withLock { $0.token = token }
    } catch {
      mproc_private_close(ends.0)
      mproc_private_close(ends.1)
      throw error
    }
    OpenStreams.add(stream)
    return (stream, ends.1)
  }

  private init(_ descriptor: Int32, _ destination: Destination, _ reactor: Reactor) {
    self.descriptor = descriptor
    self.destination = destination.descriptor
    self.reactor = reactor
    var state = State()
    if case .lines(_, let prefix) = destination { state.lines = LabelledLines(prefix) }
    self.state = Mutex(state)
  }

  // MARK: - Reading

  /// Takes what is there; nil when nothing is, or nothing will come any more.
  private func take(_ state: inout State) -> [UInt8]? {
    guard state.isOpen else { return nil }
    var size = 0
    let chunk = unsafe [UInt8](unsafeUninitializedCapacity: Self.chunkBytes) { buffer, count in
      size = unsafe mproc_read_some(descriptor, buffer.baseAddress, buffer.count)
      count = max(0, size)
    }
    guard size > 0 else {
      if size != -Int(EAGAIN) { close(&state) }
      return nil
    }
    state.tail.append(chunk)
    return chunk
  }

  private func close(_ state: inout State) {
    state.isOpen = false
    if let token = state.token { reactor.remove(token, descriptor) }
    mproc_private_close(descriptor)
    if !state.hasRest { OpenStreams.remove(self) }
  }

  /// The process has ended: takes what it has left, and returns the end of all that it said. Does not wait.
  ///
  /// - Parameter isLast: So does the application.
  @discardableResult
  func drain(isLast: Bool = false) -> String? {
    let (text, hasRest) = state.withLock { state -> (String?, Bool) in
      if isLast { state.isEnding = true }
      for _ in 0..<Self.mostChunks {
        guard let chunk = take(&state) else { break }
        keep(chunk, &state)
      }
      return (state.tail.text, state.hasRest)
    }
    if hasRest { reactor.schedule(after: .zero) { [self] in copy() } }
    return text
  }

  private func keep(_ chunk: [UInt8], _ state: inout State) {
    guard destination != nil else { return }
    guard
      Self.pendingBytes.add(chunk.count, ordering: .relaxed).newValue <= Self.mostPendingBytes
    else {
      Self.pendingBytes.subtract(chunk.count, ordering: .relaxed)
      return
    }
    state.pending += chunk
  }

  // MARK: - Showing, on the thread for it

  private func copy() {
    for _ in 0..<Self.mostChunks {
      guard let chunk = nextToShow() else { return }
      if let destination {
        // Closed, or nobody reads it any more: the process must not wait for that.
        _ = unsafe chunk.withUnsafeBytes { bytes in
          unsafe mproc_write_all(destination, bytes.baseAddress, bytes.count)
        }
      }
      state.withLock { state in
        state.isWriting = false
        if !state.isOpen, !state.hasRest { OpenStreams.remove(self) }
      }
    }
    // No event comes for what was read already.
    if state.withLock(\.hasRest) { reactor.schedule(after: .zero) { [self] in copy() } }
  }

  /// nil: nothing for now.
  private func nextToShow() -> [UInt8]? {
    state.withLock { state in
      var chunk: [UInt8]?
      if state.pending.isEmpty {
        chunk = take(&state)
      } else {
        Self.pendingBytes.subtract(state.pending.count, ordering: .relaxed)
        chunk = state.pending
        state.pending = []
      }
      if let more = chunk {
        chunk = state.lines?.add(more) ?? more
      } else if state.hasRest {
        chunk = state.lines?.finish()
      }
      state.isWriting = chunk != nil
      return chunk
    }
  }

  fileprivate var isIdle: Bool { state.withLock { !$0.hasRest && !$0.isWriting } }
}

/// The streams of processes that may still write, and the end of the application, which must not swallow
/// what they wrote.
private enum OpenStreams {
  private struct State {
    var streams: [ObjectIdentifier: ForwardedStream] = [:]
    var isRegistered = false
  }

  private static let state = Mutex(State())

  static func add(_ stream: ForwardedStream) {
    state.withLock { state in
      state.streams[ObjectIdentifier(stream)] = stream
      guard !state.isRegistered else { return }
      state.isRegistered = true
      atexit { OpenStreams.flush() }
    }
  }

  static func remove(_ stream: ForwardedStream) {
    let removed = state.withLock { $0.streams.removeValue(forKey: ObjectIdentifier(stream)) }
    _ = removed
  }

  /// Gives the thread some time to show what is there: somebody may have stopped reading.
  private static func flush() {
    // A forked copy of the application has the streams, but not the thread.
    guard mproc_current_role() != MPROC_ROLE_FORKED.rawValue else { return }
    let streams = state.withLock { Array($0.streams.values) }
    for stream in streams { stream.drain(isLast: true) }
    let end = mproc_now_ns() + 2_000_000_000
    while !streams.allSatisfy(\.isIdle), mproc_now_ns() < end { usleep(200) }
  }
}
