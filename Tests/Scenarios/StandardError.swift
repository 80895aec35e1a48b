// What workers write to standard error, on its way through the application, whatever the application's own
// standard error is: here a pipe that this program reads, or does not, or closed.

import Glibc
import Multiprocessing
import Synchronization

enum StandardError {
  enum Case: String, CaseIterable {
    case flood, stuck, closed, grandchild, exit
  }

  static func run(_ which: Case) async throws {
    for method in startMethods {
      switch which {
      case .flood: try await flood(method)
      case .stuck: try await stuck(method)
      case .closed: try await closed(method)
      case .grandchild: try await grandchild(method)
      case .exit: try await exitAtOnce(method)
      }
    }
    print("standard error passed")
  }

  // MARK: - Cases

  /// 10 MB arrive whole and in order, and leave a short tail.
  private static func flood(_ method: StartMethod) async throws {
    let reader = Reader()
    let lines = 10_000
    let pool = try pool(method)
    do {
      try await pool.run(lines) { (lines: Int) -> Void in
        for number in 0..<lines { say(floodLine(number)) }
        abort()
      }
      fail("a body that aborts has a result")
    } catch ProcessError.crashed(let report) {
      let tail = report.standardErrorTail ?? ""
      require(tail.utf8.count <= 8_192, "the tail has \(tail.utf8.count) bytes")
      require(tail.hasSuffix(floodLine(lines - 1)), "the tail does not end with the last line")
    }
    await pool.drain()
    let expected = (0..<lines).reduce(into: "") { $0 += floodLine($1) }
    require(expected.utf8.count > 10_000_000, "\(expected.utf8.count) bytes are no flood")
    let text = await reader.finish(expecting: expected.utf8.count)
    require(text == Array(expected.utf8), "\(method): \(text.count) bytes arrived, or other ones")
  }

  /// Nobody reads: who writes waits, and nothing else does.
  private static func stuck(_ method: StartMethod) async throws {
    let reader = Reader(reads: false)
    let pool = try pool(method)
    // Fills the application's own standard error, and this worker's pipe.
    let writing = Task {
      try await pool.run { () -> Void in
        for number in 0..<1_000 { say(floodLine(number)) }
      }
    }
    for number in 0..<50 {
      do {
        try await pool.run(number) { (number: Int) -> Void in
          say("Fatal error: number \(number)\n")
          abort()
        }
        fail("a body that aborts has a result")
      } catch ProcessError.crashed(let report) {
        require(
          report.message == "Fatal error: number \(number)",
          "\(method): the message is \(report.message ?? "nil")")
      }
    }
    require(try await pool.run(1) { $0 + 1 } == 2, "\(method): no result")
    writing.cancel()
    await pool.shutdown(grace: .milliseconds(10))
    _ = try? await writing.value
    // What is left may be written now.
    reader.startReading()
    _ = await reader.finish(expecting: 0)
  }

  private static func closed(_ method: StartMethod) async throws {
    let before = dup(STDERR_FILENO)
    close(STDERR_FILENO)
    let pool = try pool(method)
    for number in 0..<20 {
      try await pool.run(number) { (number: Int) -> Void in
        for _ in 0..<100 { say(floodLine(number)) }
      }
    }
    let child = try ChildProcess(options: ProcessOptions(startMethod: method)) { () -> Void in
      for number in 0..<1_000 { say(floodLine(number)) }
      abort()
    }
    do {
      try await child.value
      fail("a body that aborts has a result")
    } catch ProcessError.crashed(let report) {
      require(report.standardErrorTail?.hasSuffix(floodLine(999)) == true, "\(method): no tail")
    }
    await pool.drain()
    dup2(before, STDERR_FILENO)
    close(before)
  }

  /// A process that outlives the worker and keeps its standard error: nothing waits for it, and what it says
  /// is shown too.
  private static func grandchild(_ method: StartMethod) async throws {
    let reader = Reader()
    let pool = try pool(method)
    let gate = "/tmp/mproc-gate-\(getpid())"
    let pid = try await pool.run(gate) { (gate: String) -> Int32 in
      say("the worker\n")
      return startGrandchild(gate)
    }
    await pool.drain()
    require(kill(pid, 0) == 0, "\(method): the grandchild has ended")
    close(unsafe open(gate, O_CREAT | O_CLOEXEC, 0o600))
    let expected = "the worker\nthe grandchild\n"
    let text = await reader.finish(expecting: expected.utf8.count)
    require(
      text == Array(expected.utf8), "\(method): \(String(decoding: text, as: UTF8.self)) arrived")
  }

  /// The application exits as soon as it has the result.
  private static func exitAtOnce(_ method: StartMethod) async throws {
    dup2(STDOUT_FILENO, STDERR_FILENO)
    let pool = try pool(method)
    try await pool.run { () -> Void in
      for number in 0..<50 { say(floodLine(number)) }
      say("standard error passed\n")
    }
    exit(0)
  }

  // MARK: - Support

  private static func pool(_ method: StartMethod) throws -> ProcessPool {
    try ProcessPool(
      workers: 2,
      configuration: .init {
        $0.startMethod = method
        $0.restartLimit = .init(1_000, per: .seconds(1))
      })
  }
}

private func floodLine(_ number: Int) -> String {
  "\(number) " + String(repeating: "x", count: 1_024) + "\n"
}

/// Writes to standard error, all of it, or waits.
private func say(_ text: String) {
  var rest = Array(text.utf8)[...]
  while !rest.isEmpty {
    let count = unsafe rest.withUnsafeBytes {
      unsafe write(STDERR_FILENO, $0.baseAddress, $0.count)
    }
    if count > 0 { rest = rest.dropFirst(count) }
  }
}

/// Leaves the worker's process group, waits for the file, removes it, and says something.
private func startGrandchild(_ gate: String) -> Int32 {
  let script = "until rm \"$0\"; do sleep 0.01; done 2>/dev/null; echo the grandchild >&2"
  var pid: pid_t = 0
  let words: [String] = ["setsid", "sh", "-c", script, gate]
  let arguments: [UnsafeMutablePointer<CChar>?] = unsafe words.map { unsafe strdup($0) } + [nil]
  unsafe posix_spawnp(&pid, "setsid", nil, nil, arguments, environ)
  while getpgid(pid) != pid { usleep(1_000) }
  return pid
}

/// Takes the place of this process's standard error, and collects what is written there.
private final class Reader: Sendable {
  private let before: Int32
  private let source: Int32
  private let bytes = Mutex<[UInt8]>([])

  init(reads: Bool = true) {
    var ends: [Int32] = [-1, -1]
    require(unsafe pipe(&ends) == 0, "no pipe")
    before = dup(STDERR_FILENO)
    source = ends[0]
    dup2(ends[1], STDERR_FILENO)
    close(ends[1])
    if reads { startReading() }
  }

  func startReading() {
    var thread = pthread_t()
    let context = unsafe Unmanaged.passRetained(self).toOpaque()
    unsafe pthread_create(
      &thread, nil,
      { context in
        guard let context = unsafe context else { return nil }
        unsafe Unmanaged<Reader>.fromOpaque(context).takeRetainedValue().read()
        return nil
      }, context)
  }

  private func read() {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = unsafe buffer.withUnsafeMutableBytes {
        unsafe Glibc.read(source, $0.baseAddress, $0.count)
      }
      guard count > 0 else { return }
      bytes.withLock { $0 += buffer[..<count] }
    }
  }

  /// Waits for so many bytes, and puts standard error back.
  func finish(expecting count: Int) async -> [UInt8] {
    while bytes.withLock({ $0.count }) < count { try? await Task.sleep(for: .milliseconds(1)) }
    dup2(before, STDERR_FILENO)
    close(before)
    return bytes.withLock { $0 }
  }
}
