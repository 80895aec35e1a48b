// One end of a connection, whatever the types of its messages.

internal import CMultiprocessing
internal import Glibc
internal import Synchronization

/// A socket and those who wait for it.
final class ConnectionEnd: Sendable {
  private struct State {
    /// nil: closed.
    var socket: SharedDescriptor?
    var waits: [ObjectIdentifier: DescriptorWait] = [:]
    /// Received by somebody who waited for a value.
    var descriptors: [Int32] = []
    /// How often somebody has received what another waits for.
    var keeps: UInt64 = 0
  }

  /// So long a blocking wait goes on after a close, in milliseconds.
  private static let slice: Int32 = 50

  private let state: Mutex<State>

  let memories = MessageMemories()

  private let vainSpins = Atomic(0)

  init(_ socket: SharedDescriptor) {
    state = Mutex(State(socket: socket))
  }

  deinit {
    for descriptor in state.withLock(\.descriptors) { _ = mproc_close(descriptor) }
  }

  static func pair() throws(ProcessError) -> (ConnectionEnd, ConnectionEnd) {
    mproc_reserve_standard_streams()
    var ends: (Int32, Int32) = (-1, -1)
    let result = unsafe withUnsafeMutableBytes(of: &ends) { bytes in
      unsafe mproc_socket_pair(bytes.assumingMemoryBound(to: Int32.self).baseAddress)
    }
    try check(result, "making a pair of sockets")
    return (ConnectionEnd(SharedDescriptor(ends.0)), ConnectionEnd(SharedDescriptor(ends.1)))
  }

  func socket() throws(ProcessError) -> SharedDescriptor {
    guard let socket = state.withLock(\.socket) else { throw .closed }
    return socket
  }

  func close() {
    let (socket, waits) = state.withLock { state in
      defer { state.socket = nil }
      return (state.socket, state.waits)
    }
    for wait in waits.values { wait.finish() }
    memories.removeAll()
    // Its end, if this was the last reference, outside the lock.
    _ = socket
  }

  // MARK: - Sending

  func send(_ message: OutgoingMessage) throws(ProcessError) {
    while true {
      let socket = try socket()
      if try Self.isSent(message.send(to: socket.rawValue)) { return }
      DescriptorWait.block(socket.rawValue, forOutput: true, deadline: nil, slice: Self.slice)
    }
  }

  func send(_ message: OutgoingMessage) async throws {
    try Task.checkCancellation()
    while true {
      let socket = try socket()
      if try Self.isSent(message.send(to: socket.rawValue)) { return }
      try await wait(socket, forOutput: true, deadline: nil)
    }
  }

  /// False: there is no room.
  private static func isSent(_ result: Int32) throws(ProcessError) -> Bool {
    switch result {
    case 0: return true
    case -EAGAIN: return false
    case -EPIPE, -ECONNRESET: throw .closed
    // The kernel has no memory, or too many descriptors are on their way: for now.
    case -ENOMEM, -ENOBUFS, -ETOOMANYREFS:
      usleep(1_000)
      return false
    default:
      try check(result, "sending a message")
      return true
    }
  }

  // MARK: - Receiving

  /// What waiting for a message came to.
  enum Received<Value> {
    case value(Value)
    case end
    case timedOut
  }

  func receive<Value>(
    _ deadline: UInt64?, _ attempt: (ConnectionEnd, SharedDescriptor) throws -> Received<Value>?
  ) throws -> Received<Value> {
    while true {
      let socket = try socket()
      if let result = try spin({ try attempt(self, socket) }) { return result }
      if let deadline, mproc_now_ns() >= deadline { return .timedOut }
      DescriptorWait.block(
        socket.rawValue, forOutput: false, deadline: deadline, slice: Self.slice)
    }
  }

  func receive<Value>(
    _ deadline: UInt64?, _ attempt: (ConnectionEnd, SharedDescriptor) throws -> Received<Value>?
  ) async throws -> Received<Value> {
    try Task.checkCancellation()
    while true {
      let socket = try socket()
      let seen = state.withLock(\.keeps)
      if let result = try spin({ try attempt(self, socket) }) { return result }
      if let deadline, mproc_now_ns() >= deadline { return .timedOut }
      try await wait(socket, forOutput: false, deadline: deadline, seen: seen)
    }
  }

  /// So long a receiver asks again before it sleeps, in nanoseconds: being woken on another CPU takes as long. The
  /// sender's CPU counts, which may be none of this process's own.
  private static let spinTime: UInt64 = sysconf(Int32(_SC_NPROCESSORS_ONLN)) > 1 ? 20_000 : 0

  /// What comes late, or from the CPU that a receiver is on, is not to be had by asking: after so many times in vain
  /// it is tried now and then only.
  private static let mostVainSpins = 4
  private static let vainSpinsBetween = 32

  private func spin<R>(_ attempt: () throws -> R?) rethrows -> R? {
    if let result = try attempt() { return result }
    guard Self.spinTime > 0 else { return nil }
    let vain = vainSpins.load(ordering: .relaxed)
    vainSpins.store(vain &+ 1, ordering: .relaxed)
    guard vain < Self.mostVainSpins || vain % Self.vainSpinsBetween == 0 else { return nil }
    let end = mproc_now_ns() + Self.spinTime
    while mproc_now_ns() < end {
      for _ in 0..<16 { mproc_pause() }
      if let result = try attempt() {
        vainSpins.store(0, ordering: .relaxed)
        return result
      }
    }
    return nil
  }

  private func wait(
    _ socket: SharedDescriptor, forOutput: Bool, deadline: UInt64?, seen: UInt64? = nil
  ) async throws {
    let wait = DescriptorWait()
    let (isOpen, isThere) = state.withLock { state in
      state.waits[ObjectIdentifier(wait)] = wait
      return (state.socket != nil, seen.map { $0 != state.keeps } ?? false)
    }
    defer { state.withLock { _ = $0.waits.removeValue(forKey: ObjectIdentifier(wait)) } }
    guard isOpen else { throw ProcessError.closed }
    // Kept by another since the last attempt, before anybody could wake this wait.
    if isThere { return }
    try await wait.wait(socket.rawValue, forOutput: forOutput, deadline: deadline)
  }

  // MARK: - What was received too early

  func keep(_ descriptor: Int32) {
    state.withLock { $0.descriptors.append(descriptor) }
    wakeAll()
  }

  /// Somebody may wait for what another has received.
  func wakeAll() {
    let waits = state.withLock { state in
      state.keeps &+= 1
      return Array(state.waits.values)
    }
    for wait in waits { wait.finish() }
  }

  func takeDescriptor() -> Int32? {
    state.withLock { $0.descriptors.isEmpty ? nil : $0.descriptors.removeFirst() }
  }
}
