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
    let options = try checked(options)
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
      try Multiprocessing.check(payload, "memory for \(writer.count) bytes of arguments")
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
    for descriptor in context.descriptors { process.attach(descriptor) }
    return try ChildRun(
      process, name: request.name, crashPage, standardOutput: output, standardError: error)
  }

  /// So often a fork is tried whose copy finds locks held that every body needs.
  private static let forkAttempts = 10

  /// Forks the calling process; `body` runs in the copy, which ends with it.
  static func forking(_ options: ProcessOptions, _ body: ForkedCopy.Body) throws -> ChildRun {
    let options = try checked(options)
    let output = try ChildStream(options.standardOutput)
    let error = try ChildStream.standardError(of: options)
    let (crashPage, crash) = try CrashPage.open()
    defer { _ = mproc_close(crash) }
    var request = StartRequest(
      role: MPROC_ROLE_FORKED, name: options.name ?? "mproc-child", options: options)
    request.standardOutput = output.childEnd
    request.standardError = error.childEnd
    request.crash = crash
    let process = try fork(request, body)
    return try ChildRun(
      process, name: request.name, crashPage, standardOutput: output, standardError: error)
  }

  private static func fork(
    _ request: StartRequest, _ body: ForkedCopy.Body
  ) throws(ProcessError) -> ManagedProcess {
    let reactor = try Reactor.shared()
    // Touched here: a lazy global that another thread had begun to make would never be made in the copy.
    _ = CurrentProcess.isWorker
    var attempt = 1
    while true {
      var process = mproc_process()
      let result = reactor.whilePaused { ForkedCopy.fork(request, &process, body) }
      try Multiprocessing.check(result, "forking this process")
      do {
        return try LaunchedProcess(process, .application, reactor, request).finish()
      } catch .startFailed(.deadlock, _) where attempt < forkAttempts {
        attempt += 1
      }
    }
  }

  /// Refuses what the kernel would take for something else.
  private static func checked(
    _ options: ProcessOptions
  ) throws(ProcessError) -> ProcessOptions {
    var options = options
    options.memoryPolicy = try MemoryBinding.checked(options.memoryPolicy)
    for (name, value) in options.environment ?? [:]
    where name.isEmpty || name.utf8.contains(UInt8(ascii: "=")) || name.utf8.contains(0)
      || value.utf8.contains(0)
    {
      throw .invalidConfiguration(
        "an environment variable named \"\(name)\" cannot be: a name is not empty and holds no \"=\", and"
          + " neither name nor value holds a NUL")
    }
    return options
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
      return try ChildStream(forwardedTo: .standardError)
    }
    return try ChildStream(options.standardError, isStandardError: true)
  }

  /// A pool's worker.
  ///
  /// - Parameter label: Before each line; nil: the application's own stream, where that is inherited.
  static func standardOutput(
    ofWorker destination: OutputDestination, _ label: String?
  ) throws(ProcessError) -> ChildStream {
    guard destination == .inherit, let label else { return try ChildStream(destination) }
    return try ChildStream(forwardedTo: .lines(of: STDOUT_FILENO, prefix: label))
  }

  /// A pool's worker. Nobody could read what is captured, but its reports quote from it.
  static func standardError(
    ofWorker destination: OutputDestination, _ label: String?
  ) throws(ProcessError) -> ChildStream {
    switch destination {
    case .discard: return try ChildStream(.discard)
    case .capture: return try ChildStream(forwardedTo: .none)
    case .inherit:
      guard let label else { return try ChildStream(forwardedTo: .standardError) }
      return try ChildStream(forwardedTo: .lines(of: STDERR_FILENO, prefix: label))
    }
  }

  private init(forwardedTo destination: ForwardedStream.Destination) throws(ProcessError) {
    let (stream, end) = try ForwardedStream.open(to: destination)
    (capture, speech, childEnd) = (nil, .stream(stream), end)
  }

  deinit {
    guard childEnd >= 0 else { return }
    if case .none = speech { _ = mproc_close(childEnd) } else { mproc_private_close(childEnd) }
  }
}
