// An application that stays in one phase of its pool's life until somebody kills it.

import Glibc
import Multiprocessing
import Synchronization

enum Hold {
  /// Keeps the pools alive: a variable would be released after its last use.
  private static let kept = Mutex<[ProcessPool]>([])

  enum Phase: String, CaseIterable {
    /// Starts and drops pools without an end.
    case starting
    case idle
    /// Every worker is in a body that does not end, one of them blocked against every signal it can block.
    case busy
    /// As busy, with the pool told to finish.
    case draining
    /// Children by every start method.
    case child
    /// Workers that have pools of their own, which are busy.
    case nested
  }

  /// Prints the identifiers of the processes on one line, then does not return.
  static func run(_ phase: Phase) async throws {
    var pools: [ProcessPool] = []
    if phase != .child && phase != .starting {
      pools = try startMethods.map { method in
        try ProcessPool(workers: 2, configuration: .init { $0.startMethod = method })
      }
    }
    kept.withLock { [pools] in $0 = pools }
    var identifiers = pools.flatMap { $0.workers.map(\.processIdentifier) }
    switch phase {
    case .starting: return try startForever()
    case .idle: _ = try await pools[0].broadcast { CurrentProcess.isWorker }
    case .busy: try await occupy(pools)
    case .draining:
      try await occupy(pools)
      for pool in pools {
        let drain = Task { await pool.drain() }
        while try await isOpen(pool) { await Task.yield() }
        _ = drain
      }
    case .child: identifiers = try children()
    case .nested: identifiers += try await occupyNested(pools)
    }
    say(identifiers.map { "\($0)" }.joined(separator: " "))
    while true { try await Task.sleep(for: .seconds(1_000)) }
  }

  /// Prints, and leaves nothing in a buffer.
  private static func say(_ line: String) {
    print(line)
    fflush(nil)
  }

  private static func startForever() throws {
    say("")
    var number = 0
    while true {
      let method = startMethods[number % 8 == 0 ? 1 : 0]
      _ = try ProcessPool(workers: 2, configuration: .init { $0.startMethod = method })
      _ = try ChildProcess(options: ProcessOptions(startMethod: method)) { sleepForever() }
      number += 1
    }
  }

  /// Gives every worker a body that does not end, and returns when all of them run.
  private static func occupy(_ pools: [ProcessPool]) async throws {
    for pool in pools {
      let running = try SharedArray<Int32>(count: pool.workerCount)
      for _ in 0..<pool.workerCount {
        Task { try await pool.run(running, body: occupyWorker) }
      }
      while !(0..<pool.workerCount).allSatisfy({ running[$0] != 0 }) {
        try await Task.sleep(for: .milliseconds(1))
      }
    }
  }

  private static func isOpen(_ pool: ProcessPool) async throws -> Bool {
    do {
      // Ends at once when it is accepted: no worker ever takes it.
      try await pool.run(timeout: .milliseconds(1)) { () -> Void in }
      return true
    } catch ProcessError.closed {
      return false
    } catch ProcessError.timedOut {
      return true
    }
  }

  private static func children() throws -> [pid_t] {
    var identifiers: [pid_t] = []
    for method in startMethods {
      let options = ProcessOptions(startMethod: method)
      identifiers.append(try ChildProcess(options: options) { sleepForever() }.processIdentifier)
      identifiers.append(
        try ChildProcess(options: options) { () async throws -> Void in
          while true { try await Task.sleep(for: .seconds(1_000)) }
        }.processIdentifier)
    }
    identifiers.append(try ChildProcess.forking { sleepForever() }.processIdentifier)
    return identifiers
  }

  /// The identifiers of the inner workers.
  private static func occupyNested(_ pools: [ProcessPool]) async throws -> [pid_t] {
    var identifiers: [pid_t] = []
    for pool in pools {
      let inner = try SharedArray<Int32>(count: 1)
      Task { try await pool.run(inner, body: occupyInnerPool) }
      while inner[0] == 0 { try await Task.sleep(for: .milliseconds(1)) }
      identifiers.append(inner[0])
    }
    return identifiers
  }
}

private func occupyWorker(_ running: SharedArray<Int32>) {
  if CurrentProcess.workerIndex == 0 {
    var signals = sigset_t()
    unsafe sigfillset(&signals)
    unsafe sigprocmask(SIG_BLOCK, &signals, nil)
  }
  running[CurrentProcess.workerIndex ?? 0] = getpid()
  sleepForever()
}

@concurrent
private func occupyInnerPool(_ inner: SharedArray<Int32>) async throws {
  let pool = try ProcessPool(workers: 1)
  try await pool.run(inner) { (inner: SharedArray<Int32>) -> Void in
    inner[0] = getpid()
    sleepForever()
  }
}

private func sleepForever() {
  while true { sleep(1_000) }
}
