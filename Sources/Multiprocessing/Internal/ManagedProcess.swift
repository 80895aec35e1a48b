// A started process as its application holds it: its descriptors, its messages, its end.
//
// The reactor keeps the object alive until the process has ended and been reaped, so that nothing is left
// behind when the last user drops it.

internal import CMultiprocessing
internal import Glibc
internal import Synchronization
internal import SystemPackage

final class ManagedProcess: Sendable {
  /// Who reaps it.
  enum Origin {
    case server(ForkServer, serial: UInt64)
    case application
  }

  /// What its owner hears, on the reactor's thread, in order: messages, then the end.
  @safe
  struct Listener: Sendable {
    var message: @Sendable (_ bytes: UnsafeRawBufferPointer, _ descriptor: Int32?) -> Void
    var ended: @Sendable (ExitStatus) -> Void
  }

  private struct State {
    var status: ExitStatus?
    var listener: Listener?
    var waiters: [UInt64: CheckedContinuation<ExitStatus?, Never>] = [:]
    var lastWaiter: UInt64 = 0
    var controlToken: Reactor.Token?
    var pidfdToken: Reactor.Token?
    var isControlOpen = true
    var isLifelineOpen = true
    var wasKilled = false
  }

  let pid: pid_t
  /// Or what is in the place of one where pidfds are refused; readable once the process has ended.
  let pidfd: Int32
  /// The CPUs that the kernel gave it, read back after they were set.
  let effectiveCPUs: CPUSet
  private let control: Int32
  private let lifeline: Int32
  private let origin: Origin
  private let reactor: Reactor
  private let state = Mutex(State())

  init(
    _ process: mproc_process, _ origin: Origin, _ effectiveCPUs: CPUSet, _ reactor: Reactor
  ) {
    pid = process.pid
    pidfd = process.pidfd
    control = process.control
    lifeline = process.lifeline
    self.effectiveCPUs = effectiveCPUs
    self.origin = origin
    self.reactor = reactor
  }

  deinit {
    _ = mproc_pidfd_close(pidfd)
  }

  /// How it was really started.
  var startMethod: StartMethod {
    if case .server = origin { .forkServer } else { .spawn }
  }

  var status: ExitStatus? { state.withLock { $0.status } }
  /// Whether the application has sent it SIGKILL.
  var wasKilled: Bool { state.withLock { $0.wasKilled } }
  var isRunning: Bool { status == nil && mproc_pidfd_has_ended(pidfd) == 0 }

  // MARK: - Listening

  /// Begins to deliver messages and the end to `listener`. When it throws, it has ended the process, which is
  /// reaped all the same.
  func listen(_ listener: Listener) throws(ProcessError) {
    defer {
      switch origin {
      case .server(let server, let serial): server.register(self, serial)
      case .application: watchPidfd()
      }
    }
    state.withLock { $0.listener = listener }
    do {
      let token = try reactor.add(control) { [self] in receiveMessages() }
      state.withLock { $0.controlToken = token }
    } catch {
      state.withLock { $0.listener = nil }
      kill()
      throw error
    }
  }

  /// For a process of which no server tells the end.
  func watchPidfd() {
    do {
      let token = try reactor.add(pidfd) { [self] in collect(attempt: 0) }
      state.withLock { $0.pidfdToken = token }
    } catch {
      // Its end must be noticed: without memory for one more descriptor, by looking now and then.
      reactor.schedule(after: .milliseconds(20)) { [self] in
        if mproc_pidfd_has_ended(pidfd) > 0 { collect(attempt: 0) } else { watchPidfd() }
      }
    }
  }

  /// Takes the status of the ended process from whoever has it.
  private func collect(attempt: Int) {
    // The end may have come before the token was noted.
    guard self.status == nil else { return stopWatching() }
    var status: Int32 = 0
    if unsafe mproc_reap(pid, pidfd, &status) == 0 {
      return ended(ExitStatus(waitStatus: status))
    }
    // Another process reaps it, or somebody else in this one has. What is left of its group is no less ours.
    _ = mproc_pidfd_signal_group(pidfd, SIGKILL)
    switch unsafe mproc_pidfd_status(pidfd, &status) {
    case 0: ended(ExitStatus(waitStatus: status))
    case -EAGAIN where attempt < Self.collectAttempts:
      // Level-triggered: it would be reported over and over.
      stopWatching()
      reactor.schedule(after: .milliseconds(5)) { [self] in collect(attempt: attempt + 1) }
    default: ended(.unknown)
    }
  }

  /// An ended process is reaped at once by any init; then the kernel tells its status.
  private static let collectAttempts = 200

  private func stopWatching() {
    let token = state.withLock { state -> Reactor.Token? in
      defer { state.pidfdToken = nil }
      return state.pidfdToken
    }
    if let token { reactor.remove(token, pidfd) }
  }

  private func receiveMessages() {
    var buffer = [UInt8](repeating: 0, count: Int(MPROC_MESSAGE_BYTES))
    while true {
      var descriptor: Int32 = -1
      var count: Int32 = 1
      let size = unsafe buffer.withUnsafeMutableBytes { buffer in
        unsafe mproc_receive_message(
          control, buffer.baseAddress, buffer.count, &descriptor, &count, Int32(MSG_DONTWAIT))
      }
      guard size > 0 else {
        // The end of the stream, also of a child that closed all its descriptors: its exit follows.
        if size != -Int(EAGAIN) { stopReceiving() }
        return
      }
      guard let listener = state.withLock({ $0.listener }) else {
        // A start that failed at its last step: the process may have answered already.
        if count == 1 { _ = mproc_close(descriptor) }
        continue
      }
      unsafe buffer.withUnsafeBytes { bytes in
        unsafe listener.message(
          UnsafeRawBufferPointer(rebasing: bytes[..<size]), count == 1 ? descriptor : nil)
      }
    }
  }

  private func stopReceiving() {
    let token = state.withLock { state -> Reactor.Token? in
      defer { state.controlToken = nil }
      return state.controlToken
    }
    if let token { reactor.remove(token, control) }
  }

  /// For who learns of the end elsewhere: the reactor may be about to receive from the control socket, whose
  /// number, once closed, the next process gets.
  func endsOnReactor(_ status: ExitStatus) {
    reactor.schedule(after: .zero) { [self] in ended(status) }
  }

  /// Called once, on the reactor's thread, by whoever learnt of the end; drains the last messages first.
  func ended(_ status: ExitStatus) {
    receiveMessages()
    stopReceiving()
    stopWatching()
    let (listener, waiters) = state.withLock { state in
      state.status = status
      defer {
        state.listener = nil
        state.waiters = [:]
      }
      return (state.listener, state.waiters.values)
    }
    let closes = state.withLock { state -> (control: Bool, lifeline: Bool) in
      defer { (state.isControlOpen, state.isLifelineOpen) = (false, false) }
      return (state.isControlOpen, state.isLifelineOpen)
    }
    if closes.lifeline { mproc_private_close(lifeline) }
    listener?.ended(status)
    if closes.control { mproc_private_close(control) }
    for waiter in waiters { waiter.resume(returning: status) }
  }

  // MARK: - Waiting

  /// How it ended; nil when `limit` passed or the waiting task was cancelled first.
  func exitStatus(within limit: Duration?) async -> ExitStatus? {
    let id = state.withLock { state -> UInt64 in
      state.lastWaiter += 1
      return state.lastWaiter
    }
    let timer = limit.map { limit in reactor.schedule(after: limit) { [self] in giveUp(id) } }
    defer { if let timer { reactor.cancel(timer) } }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let immediate = state.withLock { state -> (ExitStatus?)? in
          if let status = state.status { return .some(status) }
          if Task.isCancelled || limit == .zero { return .some(nil) }
          state.waiters[id] = continuation
          return nil
        }
        if let immediate { continuation.resume(returning: immediate) }
      }
    } onCancel: {
      giveUp(id)
    }
  }

  private func giveUp(_ id: UInt64) {
    let waiter = state.withLock { $0.waiters.removeValue(forKey: id) }
    waiter?.resume(returning: nil)
  }

  // MARK: - Signals and commands

  func send(_ signal: Signal) {
    if signal == .kill { state.withLock { $0.wasKilled = true } }
    _ = mproc_pidfd_signal(pidfd, signal.rawValue)
  }

  /// Signals the process group that the process leads.
  func signalGroup(_ signal: Signal) {
    guard mproc_pidfd_signal_group(pidfd, signal.rawValue) < 0 else { return }
    switch origin {
    case .server(let server, let serial): server.signalGroup(serial, signal)
    case .application: _ = mproc_signal_group(pid, pidfd, signal.rawValue)
    }
  }

  /// SIGKILL to the whole group.
  func kill() {
    signalGroup(.kill)
    send(.kill)
  }

  /// SIGTERM to the group, and SIGKILL when that has not ended it within `grace`.
  func terminate(grace: Duration) {
    guard status == nil else { return }
    signalGroup(.terminate)
    reactor.schedule(after: grace) { [weak self] in
      guard let self, status == nil else { return }
      kill()
    }
  }

  /// False when the process has ended.
  @discardableResult
  func command(
    _ kind: mproc_command_kind, number: UInt64, size: UInt64 = 0, descriptor: Int32? = nil
  )
    -> Bool
  {
    unsafe send(kind, number: number, size: size, descriptor: descriptor, mproc_send_message) == 0
  }

  /// Hands a shared object's descriptor over, for what will name it.
  func attach(_ descriptor: SharedDescriptor) {
    let isSent = command(
      MPROC_COMMAND_ATTACH, number: descriptor.number, size: UInt64(descriptor.byteCount),
      descriptor: descriptor.rawValue)
    // Its bodies would wait for it for ever.
    if !isSent { kill() }
  }

  /// Nothing will name it any more. false: the process takes no command now.
  func detach(_ number: UInt64) -> Bool {
    unsafe send(
      MPROC_COMMAND_DETACH, number: number, size: 0, descriptor: nil, mproc_try_send_message)
      != -EAGAIN
  }

  private func send(
    _ kind: mproc_command_kind, number: UInt64, size: UInt64, descriptor: Int32?,
    _ send: (Int32, UnsafePointer<mproc_piece>?, Int32, UnsafePointer<Int32>?, Int32) -> Int32
  ) -> Int32 {
    var command = mproc_command(kind: kind.rawValue, reserved: 0, number: number, size: size)
    return state.withLock { state in
      guard state.isControlOpen else { return -EPIPE }
      return unsafe withUnsafeBytes(of: &command) { bytes in
        var piece = unsafe mproc_piece(bytes: bytes.baseAddress, size: bytes.count)
        var descriptor = descriptor ?? -1
        return unsafe send(control, &piece, 1, &descriptor, descriptor >= 0 ? 1 : 0)
      }
    }
  }
}

// MARK: - Starting

extension ManagedProcess {
  /// So often a server that dies or does not answer is replaced for one start.
  private static let serverAttempts = 3

  /// Starts a process and waits until it is set up; throws what the kernel refused.
  ///
  /// Blocks for the time of a start: 0.1 to 0.3 ms from a fork server, 1 to 5 ms spawned.
  static func start(
    _ request: StartRequest, _ environment: ChildEnvironment
  ) throws(ProcessError) -> ManagedProcess {
    let launched = try launch(request, environment)
    return try launched.finish()
  }

  /// Starts a process without waiting for it, aside from the fork server's own start and preload.
  static func launch(
    _ request: StartRequest, _ environment: ChildEnvironment
  ) throws(ProcessError) -> LaunchedProcess {
    let reactor = try Reactor.shared()
    if request.options.startMethod == .forkServer, try Pidfds.areGranted(),
      let (process, server, serial) = try fork(request, environment)
    {
      return LaunchedProcess(process, .server(server, serial: serial), reactor, request)
    }
    var spawned = request
    defer {
      if request.preload != nil, spawned.payloadDescriptor >= 0 {
        _ = mproc_close(spawned.payloadDescriptor)
      }
    }
    if let preload = request.preload {
      spawned.payloadDescriptor = try preload.makePayloadDescriptor()
    }
    var process = mproc_process()
    let result = unsafe spawned.withStart { start in
      unsafe environment.withPointers { environment in
        unsafe mproc_spawn(start, environment, request.options.outlivesParent, &process)
      }
    }
    try check(result, "spawning a process")
    request.preload?.sendDescriptors(to: process.control)
    return LaunchedProcess(process, .application, reactor, request)
  }

  /// nil when a server of this program would have threads, so that it cannot fork.
  private static func fork(
    _ request: StartRequest, _ environment: ChildEnvironment
  ) throws(ProcessError) -> (mproc_process, ForkServer, UInt64)? {
    let key = ForkServers.Key(environment, request.preload)
    var attempt = 1
    while true {
      do {
        guard let server = try ForkServers.server(for: key, request.preload) else { return nil }
        let (process, serial) = try server.fork(request)
        return (process, server, serial)
      } catch .startFailed(let errno, _) where errno == .resourceBusy {
        return nil
      } catch .startFailed(let errno, _)
        where (errno == .brokenPipe || errno == .timedOut) && attempt < serverAttempts
      {
        // Dead or stopped, and ended by now; the child has run nothing.
        attempt += 1
      }
    }
  }
}
