// One fork server, as the application holds it.
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

  private struct State {
    /// It forks no more.
    var isRetired = false
    /// Its last report has been read.
    var isOver = false
    var children: [UInt64: ManagedProcess] = [:]
    /// Ends that came before the starting thread had registered the child.
    var earlyExits: [UInt64: Int32] = [:]
    var pending: Set<UInt64> = []
  }

  private let server: mproc_server
  private let context: InheritedContext
  private let state = Mutex(State())
  private let lastSerial = Atomic<UInt64>(0)
  /// One request at a time.
  private let requests = Mutex(())

  fileprivate init(_ server: mproc_server, _ context: InheritedContext) {
    self.server = server
    self.context = context
  }

  var isUsable: Bool { state.withLock { !$0.isRetired } }

  /// Whether nobody would miss it.
  var isIdle: Bool { state.withLock { $0.children.isEmpty && $0.pending.isEmpty } }

  // MARK: - Starting children

  /// Forks a child, or throws; `.brokenPipe` and `.timedOut` say that the server is of no more use, and any
  /// error that the child, if there was one, has run nothing.
  func fork(
    _ request: StartRequest
  ) throws(ProcessError) -> (process: mproc_process, serial: UInt64) {
    var request = request
    InheritedContext.current.complete(&request, from: context)
    request.inheritStreams()
    let directory = unsafe mproc_open_directory(".")
    request.currentDirectory = directory
    defer { if directory >= 0 { _ = mproc_close(directory) } }
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
        state.earlyExits[serial] = nil
      }
      if result == -EPIPE || result == -ETIMEDOUT { retire() }
    }
    try check(result, "asking the fork server for a process")
    return (process, serial)
  }

  /// From now on `child` hears of its end.
  func register(_ child: ManagedProcess, _ serial: UInt64) {
    let (status, isOver) = state.withLock { state -> (Int32?, Bool) in
      state.pending.remove(serial)
      if let status = state.earlyExits.removeValue(forKey: serial) { return (status, false) }
      if !state.isOver { state.children[serial] = child }
      return (nil, state.isOver)
    }
    if let status { child.endsOnReactor(ExitStatus(waitStatus: status)) }
    if isOver { child.watchPidfd() }
  }

  func signalGroup(_ serial: UInt64, _ signal: Signal) {
    _ = requests.withLock { _ in
      unsafe withUnsafePointer(to: server) { server in
        unsafe mproc_server_signal_group(server, serial, signal.rawValue)
      }
    }
  }

  // MARK: - Ends

  fileprivate func watch(with reactor: Reactor) throws(ProcessError) {
    let box = TokenBox()
    let added = try reactor.add(server.exits) { [self] in
      if !receiveExits() {
        reactor.remove(box.token.withLock { $0 }, server.exits)
        retire()
        leaveChildren()
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

  /// Ends it; its children go on without it.
  func retire() {
    state.withLock { $0.isRetired = true }
    _ = mproc_pidfd_signal(server.process.pidfd, SIGKILL)
  }

  /// After its last report: from now on the kernel is asked how a child has ended.
  private func leaveChildren() {
    let orphans = state.withLock { state -> [ManagedProcess] in
      state.isOver = true
      defer { state.children = [:] }
      return Array(state.children.values)
    }
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
    _ = mproc_pidfd_close(server.process.pidfd)
  }
}

// MARK: - Starting the server

extension ForkServer {
  /// Starts a server and waits until it serves, its preload body included; nil: it has threads, so that it
  /// cannot fork.
  static func start(
    _ environment: ChildEnvironment, _ preload: Preload?
  ) throws(ProcessError) -> ForkServer? {
    let reactor = try Reactor.shared()
    let context = InheritedContext.ofProcess
    var options = ProcessOptions()
    options.affinity = context.affinity
    var request = StartRequest(role: MPROC_ROLE_SERVER, name: "mproc-server", options: options)
    let server: ForkServer
    if let preload {
      server = try start(&request, environment, context, preload)
    } else {
      server = try start(request, environment, context)
    }
    guard try AnswerReader(server.server.process).serving() else { return nil }
    try server.watch(with: reactor)
    return server
  }

  private static func start(
    _ request: StartRequest, _ environment: ChildEnvironment, _ context: InheritedContext
  ) throws(ProcessError) -> ForkServer {
    var process = mproc_server()
    let result = unsafe request.withStart { start in
      unsafe environment.withPointers { environment in
        unsafe mproc_server_start(start, environment, &process)
      }
    }
    try check(result, "starting the fork server")
    return ForkServer(process, context)
  }

  /// Starts a server and waits for its preload body.
  private static func start(
    _ request: inout StartRequest, _ environment: ChildEnvironment, _ context: InheritedContext,
    _ preload: Preload
  ) throws(ProcessError) -> ForkServer {
    let payload = try preload.makePayloadDescriptor()
    defer { _ = mproc_close(payload) }
    let standardError = try ChildStream.standardError(ofWorker: .inherit, nil)
    let (page, crash) = try CrashPage.open()
    defer { _ = mproc_close(crash) }
    request.payloadDescriptor = payload
    request.standardError = standardError.childEnd
    request.crash = crash
    let witness = CrashWitness(standardError.speech)
    let server = try start(request, environment, context)
    let process = server.server.process
    preload.sendDescriptors(to: process.control)
    try Preload.checkResult(
      try AnswerReader(process).result("the preload body") { status in
        witness.report(process.pid, workerIndex: nil, status, page.record, wasKilled: false)
      })
    return server
  }
}

/// A reactor token that its own handler knows.
final class TokenBox: Sendable {
  let token = Mutex<Reactor.Token>(0)
}
