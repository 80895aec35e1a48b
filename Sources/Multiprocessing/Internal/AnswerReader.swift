// What a process that starts says of itself, read by the thread that starts it.

internal import CMultiprocessing
internal import Glibc
internal import SystemPackage

/// Reads the messages of a new process, one by one, and tells when there will be none.
struct AnswerReader {
  /// How long a process may take to set itself up, most of which is the dynamic linker's time.
  private static let setUpLimit: UInt64 = 60_000_000_000
  /// How long it may be stopped.
  private static let stopLimit: UInt64 = 10_000_000_000
  private static let slice: Int32 = 200

  private let process: mproc_process

  init(_ process: mproc_process) {
    self.process = process
  }

  /// READY: the CPU mask that the kernel gave. Throws what FAILED says.
  func ready(_ options: ProcessOptions) throws(ProcessError) -> CPUSet {
    let message = try answer("the new process")
    try Self.checkFailed(message, options)
    let words = message.count / MemoryLayout<UInt>.size
    let header = MemoryLayout<mproc_answer>.size / MemoryLayout<UInt>.size
    return unsafe message.withUnsafeBytes { bytes in
      CPUSet(
        words: (min(header, words)..<words).map {
          unsafe bytes.loadUnaligned(fromByteOffset: $0 * MemoryLayout<UInt>.size, as: UInt.self)
        })
    }
  }

  /// SERVING: whether the fork server serves.
  func serving() throws(ProcessError) -> Bool {
    let message = try answer("the fork server")
    try Self.checkFailed(message, ProcessOptions())
    guard message.count >= MemoryLayout<mproc_serving>.size else { return false }
    return unsafe message.withUnsafeBytes { bytes in
      unsafe bytes.loadUnaligned(as: mproc_serving.self).serves != 0
    }
  }

  /// RESULT: an outcome's bytes. Waits as long as the body runs; `.crashed` when its process ends instead.
  func result(
    _ body: String, _ crashReport: (ExitStatus) -> CrashReport
  ) throws(ProcessError) -> [UInt8] {
    guard let (bytes, descriptor) = try next(body, limit: nil) else {
      var report = crashReport(endStatus())
      report.processIdentifier = process.pid
      report.message = report.message.map { "\($0) (in \(body))" } ?? "it ran \(body)"
      throw .crashed(report)
    }
    defer { if let descriptor { _ = mproc_close(descriptor) } }
    try Self.checkFailed(bytes, ProcessOptions())
    let outcome = unsafe bytes.withUnsafeBytes { unsafe resultOutcome($0, descriptor) }
    return try (outcome ?? .failure(.damagedOutcome)).get()
  }

  // MARK: - Messages

  private static func checkFailed(
    _ message: [UInt8], _ options: ProcessOptions
  ) throws(ProcessError) {
    guard message.count >= MemoryLayout<mproc_answer>.size else { return }
    let answer = unsafe message.withUnsafeBytes { unsafe $0.loadUnaligned(as: mproc_answer.self) }
    guard answer.message == MPROC_MESSAGE_FAILED.rawValue else { return }
    if answer.step == MPROC_SETUP_MEMORY_POLICY.rawValue, answer.error == EINVAL,
      let policy = options.memoryPolicy
    {
      throw MemoryBinding.forbidden(policy)
    }
    throw .startFailed(
      Errno(rawValue: answer.error), operation: operation(answer.step, options))
  }

  private func answer(_ what: String) throws(ProcessError) -> [UInt8] {
    guard let message = try next(what, limit: Self.setUpLimit) else {
      throw .startFailed(.brokenPipe, operation: "\(what) ended before it was set up")
    }
    return message.bytes
  }

  /// nil: the process has ended. `limit` in nanoseconds; nil: as long as the process is not stopped.
  private func next(
    _ what: String, limit: UInt64?
  ) throws(ProcessError) -> (bytes: [UInt8], descriptor: Int32?)? {
    try waitUntilReadable(what, limit)
    var buffer = [UInt8](repeating: 0, count: Int(MPROC_MESSAGE_BYTES))
    var descriptor: Int32 = -1
    var count: Int32 = 1
    let size = unsafe buffer.withUnsafeMutableBytes { buffer in
      unsafe mproc_receive_message(
        process.control, buffer.baseAddress, buffer.count, &descriptor, &count, 0)
    }
    guard size != 0 else { return nil }
    try check(Int32(clamping: size), "waiting for \(what)")
    buffer.removeSubrange(size...)
    return (buffer, count == 1 ? descriptor : nil)
  }

  private func waitUntilReadable(_ what: String, _ limit: UInt64?) throws(ProcessError) {
    let start = mproc_now_ns()
    var stopped: UInt64?
    while true {
      let ready = mproc_wait_readable(process.control, Self.slice)
      try check(ready, "waiting for \(what)")
      if ready > 0 { return }
      let now = mproc_now_ns()
      stopped = mproc_pidfd_is_stopped(process.pidfd) == 1 ? stopped ?? now : nil
      if let stopped, now - stopped > Self.stopLimit {
        throw .startFailed(
          .timedOut, operation: "waiting for \(what), whose process \(process.pid) is stopped")
      }
      if let limit, now - start > limit {
        throw .startFailed(.timedOut, operation: "waiting for \(what)")
      }
    }
  }

  /// How the process ended, which has closed its socket.
  private func endStatus() -> ExitStatus {
    if mproc_wait_readable(process.pidfd, 10_000) == 0 {
      // It has closed everything, but goes on.
      _ = mproc_pidfd_signal(process.pidfd, SIGKILL)
      _ = mproc_wait_readable(process.pidfd, 10_000)
    }
    var status: Int32 = 0
    if unsafe mproc_reap(process.pid, process.pidfd, &status) == 0 {
      return ExitStatus(waitStatus: status)
    }
    // Somebody else reaps it, if the kernel does not by itself: any moment now.
    for _ in 0..<200 {
      switch unsafe mproc_pidfd_status(process.pidfd, &status) {
      case 0: return ExitStatus(waitStatus: status)
      case -EAGAIN: usleep(5_000)
      default: return .unknown
      }
    }
    return .unknown
  }

  private static func operation(_ step: UInt32, _ options: ProcessOptions) -> String {
    switch mproc_setup_step(rawValue: step) {
    case MPROC_SETUP_LIFELINE: "tying the process to its parent"
    case MPROC_SETUP_STREAMS: "redirecting its standard streams"
    case MPROC_SETUP_AFFINITY: "binding it to CPUs \(options.affinity ?? [])"
    case MPROC_SETUP_MEMORY_POLICY: "setting its memory policy"
    case MPROC_SETUP_NICENESS: "setting its niceness to \(options.niceness ?? 0)"
    case MPROC_SETUP_LIMITS: "setting its resource limits"
    case MPROC_SETUP_DIRECTORY: "changing to \(options.workingDirectory ?? ".")"
    case MPROC_SETUP_THREAD: "starting the thread of its body"
    case MPROC_SETUP_LOCKS:
      "forking this process while its threads hold locks that the copy needs; use ChildProcess(…) instead"
    default: "setting it up"
    }
  }
}

/// The outcome's bytes in a RESULT message; nil when it is none. The descriptor stays the caller's.
func resultOutcome(
  _ bytes: UnsafeRawBufferPointer, _ descriptor: Int32?
) -> Result<[UInt8], ProcessError>? {
  guard bytes.count >= MemoryLayout<mproc_result>.size else { return nil }
  let header = unsafe bytes.loadUnaligned(as: mproc_result.self)
  guard header.message == MPROC_MESSAGE_RESULT.rawValue else { return nil }
  guard let descriptor else {
    return .success(unsafe [UInt8](bytes.dropFirst(MemoryLayout<mproc_result>.size)))
  }
  guard header.size <= UInt64(Int.max / 2) else { return .failure(.damagedOutcome) }
  let size = Int(header.size)
  // Copied out: the process could still change or shrink what it sent.
  guard mproc_file_size(descriptor) == Int64(size) else { return .failure(.damagedOutcome) }
  var result: Int32 = 0
  let copy = unsafe [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
    result = unsafe mproc_read_all(descriptor, buffer.baseAddress, size)
    count = result == 0 ? size : 0
  }
  switch result {
  case 0: return .success(copy)
  case -EPROTO: return .failure(.damagedOutcome)
  default:
    return .failure(
      .notTransferable(
        TransferFailure(
          typeName: "a result of \(size) bytes", reason: "it cannot be read: errno \(-result)",
          cure: "look for what limits this process's memory")))
  }
}
