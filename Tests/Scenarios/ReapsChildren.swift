// An application that handles SIGCHLD itself, ignores it, or reaps every child of the process: its own affairs and
// ours do not meet.

import Glibc
import Multiprocessing

/// Statuses that the application took itself.
nonisolated(unsafe) private var reapedCount: Int32 = 0

private func reapAll(_ signal: Int32) {
  let error = errno
  while waitpid(-1, nil, WNOHANG) > 0 { unsafe reapedCount += 1 }
  errno = error
}

private func reapForever(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  while true {
    if waitpid(-1, nil, 0) > 0 { unsafe reapedCount += 1 } else { usleep(200) }
  }
}

enum ReapsChildren {
  enum Way: String, CaseIterable {
    case handler, ignore, loop
  }

  static func run(_ way: Way) async throws {
    switch way {
    case .handler:
      // Takes the status of every child before anybody else can.
      signal(SIGCHLD, reapAll)
    case .ignore: signal(SIGCHLD, SIG_IGN)
    case .loop:
      var thread = pthread_t()
      let error = unsafe pthread_create(&thread, nil, reapForever, nil)
      require(error == 0, "no thread")
    }
    for _ in 0..<20 { for method in startMethods { try await children(method) } }
    try await forked()
    try await pools()
    try await own(way)
    print("reaps passed")
  }

  private static func children(_ method: StartMethod) async throws {
    let options = ProcessOptions(startMethod: method)
    let good = try ChildProcess(20, options: options) { $0 + 1 }
    let bad = try ChildProcess(options: options) { () -> Int in exit(3) }
    let killed = try ChildProcess(options: options) { () -> Int in while true { pause() } }
    killed.kill()
    require(try await good.value == 21, "\(method): a wrong result")
    let statuses = await [good.exitStatus, bad.exitStatus, killed.exitStatus]
    let expected: [ExitStatus] = [.exited(0), .exited(3), .signaled(.kill, coreDumped: false)]
    // Without PIDFD_GET_INFO (Linux 6.15) nobody can tell any more.
    require(
      zip(statuses, expected).allSatisfy { $0 == $1 || $0 == .unknown && !hasExitInfo },
      "\(method): \(statuses)")
  }

  private static func forked() async throws {
    let number = 4
    let child = try ChildProcess.forking { number * 2 }
    require(try await child.value == 8, "a wrong result of a fork")
    let status = await child.exitStatus
    require(status == .exited(0) || !hasExitInfo, "forked: \(status)")
  }

  private static func pools() async throws {
    for method in startMethods {
      let pool = try ProcessPool(workers: 2, configuration: .init { $0.startMethod = method })
      let squares = try await pool.map(0..<100) { $0 * $0 }
      require(squares == (0..<100).map { $0 * $0 }, "\(method): wrong squares")
      do {
        _ = try await pool.run(3) { (status: Int32) -> Int in exit(status) }
        fail("\(method): a body that exits has a result")
      } catch ProcessError.crashed(let report) {
        require(report.exitStatus == .exited(3) || !hasExitInfo, "\(method): \(report)")
      }
      require(try await pool.run(2) { $0 + 1 } == 3, "\(method): the worker was not replaced")
      await pool.drain()
    }
  }

  /// What the application starts by itself, it reaps as if we were not there.
  private static func own(_ way: Way) async throws {
    let before = unsafe reapedCount
    var arguments: [UnsafeMutablePointer<CChar>?] = unsafe [strdup("true"), nil]
    var pid: pid_t = 0
    let error = unsafe posix_spawnp(&pid, "true", nil, nil, &arguments, nil)
    require(error == 0, "true cannot be started")
    while kill(pid, 0) == 0 { try await Task.sleep(for: .milliseconds(1)) }
    let after = unsafe reapedCount
    require(way == .ignore || after > before, "its own child was reaped by somebody else")
  }

  private static let hasExitInfo: Bool = {
    // In the profile of Tests/Faults/refused that has no pidfds there is nobody to ask.
    if let refused = unsafe getenv("MPROC_TEST_REFUSED"), unsafe strncmp(refused, "pidfd", 5) == 0 {
      return false
    }
    var name = utsname()
    unsafe uname(&name)
    let release = unsafe withUnsafeBytes(of: &name.release) { bytes in
      unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    let parts = release.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
    return parts.lexicographicallyPrecedes([6, 15]) == false
  }()
}
