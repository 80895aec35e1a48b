// The application's fork servers: one for each distinct environment, started at first use and started
// again when one has died.
//
// A server reaps its children and reports how they ended. Children outlive their server: they hold
// lifelines of the application's, and how they ended is then asked of the kernel.

internal import CMultiprocessing
internal import Glibc
internal import Synchronization
internal import SystemPackage

final class ForkServer: Sendable {
  /// How long a server may take to answer; it may be stopped. Forking takes well under a millisecond.
  private static let answerTimeout: Int32 = 10_000

  private static let servers = Mutex<[ChildEnvironment: ForkServer]>([:])

  private struct State {
    var isDead = false
    var children: [UInt64: ManagedProcess] = [:]
    /// Ends that came before the starting thread had registered the child.
    var earlyExits: [UInt64: Int32] = [:]
    var pending: Set<UInt64> = []
  }

  private let server: mproc_server
  private let state = Mutex(State())
  private let lastSerial = Atomic<UInt64>(0)
  /// One request at a time.
  private let requests = Mutex(())

  private init(_ server: mproc_server) {
    self.server = server
  }

  /// The living server for this environment.
  static func server(for environment: ChildEnvironment) throws(ProcessError) -> ForkServer {
    let reactor = try Reactor.shared()
    return try servers.withLock { servers throws(ProcessError) in
      if let server = servers[environment], !server.state.withLock({ $0.isDead }) { return server }
      let server = ForkServer(try start(environment))
      try server.watch(with: reactor)
      servers[environment] = server
      return server
    }
  }

  private static func start(_ environment: ChildEnvironment) throws(ProcessError) -> mproc_server {
    let request = StartRequest(
      role: MPROC_ROLE_SERVER, name: "mproc-server", options: ProcessOptions())
    var server = mproc_server()
    let result = unsafe request.withStart { start in
      unsafe environment.withPointers { environment in
        unsafe mproc_server_start(start, environment, &server)
      }
    }
    try check(result, "starting the fork server")
    return server
  }

  // MARK: - Starting

  /// Forks a child, or throws; `.brokenPipe` and `.timedOut` say that the server is of no more use.
  func fork(
    _ request: StartRequest
  ) throws(ProcessError) -> (process: mproc_process, serial: UInt64) {
    let serial = lastSerial.add(1, ordering: .relaxed).newValue
    state.withLock { _ = $0.pending.insert(serial) }
    var process = mproc_process()
    let result = requests.withLock { _ in
      unsafe request.withStart { start in
        unsafe withUnsafePointer(to: server) { server in
          unsafe mproc_server_fork(
            server, start, request.options.outlivesParent, serial, Self.answerTimeout, &process)
        }
      }
    }
    if result < 0 {
      state.withLock { state in
        state.pending.remove(serial)
        state.earlyExits.removeValue(forKey: serial)
      }
      if result == -EPIPE || result == -ETIMEDOUT { retire() }
    }
    try check(result, "asking the fork server for a process")
    return (process, serial)
  }

  /// From now on `child` hears of its end.
  func register(_ child: ManagedProcess, _ serial: UInt64) {
    let (status, isDead) = state.withLock { state -> (Int32?, Bool) in
      state.pending.remove(serial)
      if let status = state.earlyExits.removeValue(forKey: serial) { return (status, false) }
      if !state.isDead { state.children[serial] = child }
      return (nil, state.isDead)
    }
    if let status { child.endsOnReactor(ExitStatus(waitStatus: status)) }
    if isDead { child.watchPidfd() }
  }

  func signalGroup(_ serial: UInt64, _ signal: Signal) {
    _ = requests.withLock { _ in
      unsafe withUnsafePointer(to: server) { server in
        unsafe mproc_server_signal_group(server, serial, signal.rawValue)
      }
    }
  }

  // MARK: - Ends

  private func watch(with reactor: Reactor) throws(ProcessError) {
    let box = TokenBox()
    let added = try reactor.add(server.exits) { [self] in
      if !receiveExits() {
        reactor.remove(box.token.withLock { $0 }, server.exits)
        retire()
      }
    }
    box.token.withLock { $0 = added }
  }

  /// False at the end of the stream: the server has died.
  private func receiveExits() -> Bool {
    var message = mproc_exit()
    while true {
      let size = unsafe mproc_receive_message(
        server.exits, &message, MemoryLayout<mproc_exit>.size, nil, nil, Int32(MSG_DONTWAIT))
      if size == -Int(EAGAIN) { return true }
      guard size == MemoryLayout<mproc_exit>.size else { return false }
      let child = state.withLock { state -> ManagedProcess? in
        if state.pending.contains(message.serial) {
          state.earlyExits[message.serial] = message.status
        }
        return state.children.removeValue(forKey: message.serial)
      }
      let isKnown = message.status != MPROC_STATUS_UNKNOWN
      child?.ended(isKnown ? ExitStatus(waitStatus: message.status) : .unknown)
    }
  }

  /// The server is dead, or does not answer and is ended; its children go on without it.
  private func retire() {
    let orphans = state.withLock { state -> [ManagedProcess] in
      state.isDead = true
      defer { state.children = [:] }
      return Array(state.children.values)
    }
    _ = mproc_pidfd_signal(server.process.pidfd, SIGKILL)
    for orphan in orphans { orphan.watchPidfd() }
  }

  deinit {
    var status: Int32 = 0
    // Without its lifeline it ends, also where it can be sent no signal.
    mproc_private_close(server.process.lifeline)
    mproc_private_close(server.requests)
    mproc_private_close(server.exits)
    mproc_private_close(server.process.control)
    _ = unsafe mproc_reap(server.process.pid, server.process.pidfd, &status)
    _ = mproc_close(server.process.pidfd)
  }
}

/// A reactor token that its own handler knows.
final class TokenBox: Sendable {
  let token = Mutex<Reactor.Token>(0)
}
