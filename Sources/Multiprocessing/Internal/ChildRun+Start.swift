// Starting the process behind a ChildProcess.

internal import CMultiprocessing
internal import Glibc

extension ChildRun {
  /// Starts a child for a named body; everything that can be refused is refused before it exists.
  static func start(
    _ name: BodyName, _ options: ProcessOptions,
    _ encodeArguments: (inout ByteWriter, OutgoingTransfer) throws -> Void
  ) throws -> ChildRun {
    guard options.startMethod != .fork else {
      throw ProcessError.invalidConfiguration(
        "start method .fork is for ChildProcess.forking, whose body may capture;"
          + " use .forkServer or .spawn"
      )
    }
    let context = OutgoingTransfer()
    var writer = unsafe ByteWriter(region: UnsafeMutableRawBufferPointer(start: nil, count: 0))
    try ValueCoding.encode(name, into: &writer, context: nil)
    try encodeArguments(&writer, context)
    var request = StartRequest(
      role: MPROC_ROLE_CHILD, name: options.name ?? "mproc-child", options: options)
    var payload: Int32 = -1
    defer { if payload >= 0 { _ = mproc_close(payload) } }
    if writer.count <= Int(MPROC_MESSAGE_BYTES) / 2 {
      request.payload = unsafe writer.withBytes { unsafe [UInt8]($0) }
    } else {
      payload = unsafe writer.withBytes { bytes in
        unsafe mproc_memfd_of("mproc-arguments", bytes.baseAddress, bytes.count)
      }
      try check(payload, "memory for \(writer.count) bytes of arguments")
      request.payloadDescriptor = payload
    }
    let output = try ChildStream(options.standardOutput)
    let error = try ChildStream.standardError(of: options)
    let (crashPage, crash) = try CrashPage.open()
    defer { _ = mproc_close(crash) }
    request.standardOutput = output.childEnd
    request.standardError = error.childEnd
    request.crash = crash
    let process = try ManagedProcess.start(
      request, ChildEnvironment(options.environment, defaults: [:]))
    for mapping in context.mappings {
      process.command(
        MPROC_COMMAND_ATTACH, number: mapping.number, size: UInt64(mapping.byteCount),
        descriptor: mapping.descriptor)
    }
    return try ChildRun(
      process, name: request.name, crashPage, standardOutput: output, standardError: error)
  }

  /// Forks the calling process; `body` runs in the copy, which ends with it.
  static func forking(
    _ options: ProcessOptions, _ body: (inout ByteWriter, TransferContext) throws -> Void
  ) throws -> ChildRun {
    let output = try ChildStream(options.standardOutput)
    let error = try ChildStream.standardError(of: options)
    let (crashPage, crash) = try CrashPage.open()
    defer { _ = mproc_close(crash) }
    var request = StartRequest(
      role: MPROC_ROLE_FORKED, name: options.name ?? "mproc-child", options: options)
    request.standardOutput = output.childEnd
    request.standardError = error.childEnd
    request.crash = crash
    // Touched here, because a lazy global whose initialisation another thread had begun would hang there.
    let reactor = try Reactor.shared()
    try ManagedProcess.requirePidfds()
    // What the streams hold must not be written twice.
    fflush(nil)
    var process = mproc_process()
    let result = unsafe request.withStart { start in
      reactor.whilePaused {
        let result = unsafe mproc_fork_self(start, options.outlivesParent, &process)
        // In the copy nothing may be unlocked: its thread has another number.
        if result == 1 { runForked(request.name, process.control, body) }
        return result
      }
    }
    try check(result, "forking this process")
    let managed = try LaunchedProcess(process, .application, reactor, request).finish()
    return try ChildRun(
      managed, name: request.name, crashPage, standardOutput: output, standardError: error)
  }

  private static func runForked(
    _ name: String, _ control: Int32, _ body: (inout ByteWriter, TransferContext) throws -> Void
  ) -> Never {
    CurrentProcess.become(
      CurrentProcess.Identity(isChild: true, name: name, workerIndex: nil, parent: getppid()))
    var outcome = unsafe ByteWriter(region: UnsafeMutableRawBufferPointer(start: nil, count: 0))
    do {
      outcome.appendValue(OutcomeTag.value)
      try body(&outcome, IncomingTransfer())
    } catch {
      outcome.truncate(to: 0)
      FailureCoding.encode(error, into: &outcome, nil)
    }
    fflush(nil)
    unsafe outcome.withBytes { unsafe sendOutcome($0, to: control) }
    // Not exit: the application's atexit handlers are not the copy's to run.
    _exit(0)
  }

  func cancel(grace: Duration) {
    guard process.status == nil else { return }
    process.command(MPROC_COMMAND_CANCEL, number: 0)
    guard let reactor = try? Reactor.shared() else { return }
    reactor.schedule(after: grace) { [weak process] in process?.terminate(grace: grace) }
  }
}

/// One of a child's output streams while it starts: the end to give to the child is closed here after.
struct ChildStream: ~Copyable {
  let capture: OutputCapture?
  /// What a crash report can quote from.
  let speech: CrashWitness.Speech
  let childEnd: Int32

  init(_ destination: OutputDestination, isStandardError: Bool = false) throws(ProcessError) {
    mproc_reserve_standard_streams()
    switch destination {
    case .inherit: (capture, speech, childEnd) = (nil, .none, -1)
    case .discard:
      (capture, speech, childEnd) = (nil, .none, try check(mproc_open_null(), "opening /dev/null"))
    case .capture:
      let (capture, end) = try OutputCapture.open(keepsTail: isStandardError)
      (self.capture, speech, childEnd) = (capture, .capture(capture), end)
    }
  }

  /// A child that shares the application's terminal keeps it: what it may ask of it (`isatty`), and the order
  /// of its two streams. One that outlives the application cannot speak through it.
  static func standardError(of options: ProcessOptions) throws(ProcessError) -> ChildStream {
    if options.standardError == .inherit, !options.outlivesParent, isatty(STDERR_FILENO) == 0 {
      return try ChildStream(isShown: true)
    }
    return try ChildStream(options.standardError, isStandardError: true)
  }

  /// A pool's worker. Nobody could read what is captured, but its reports quote from it.
  static func standardError(
    ofWorker destination: OutputDestination
  ) throws(ProcessError) -> ChildStream {
    if destination == .discard { return try ChildStream(.discard) }
    return try ChildStream(isShown: destination == .inherit)
  }

  private init(isShown: Bool) throws(ProcessError) {
    let (stream, end) = try StandardErrorStream.open(isShown: isShown)
    (capture, speech, childEnd) = (nil, .stream(stream), end)
  }

  deinit {
    if childEnd >= 0 { _ = mproc_close(childEnd) }
  }
}
