// A preload body runs once before any worker exists, and the workers have what it made.

import Foundation
import Glibc
import Multiprocessing
import Synchronization
import Testing

/// Made by a preload body: its process, and what it loaded.
private let loaded = Mutex<(process: pid_t, numbers: [Int])>((0, []))

/// A lazy global that a preload body makes.
private let maker: pid_t = getpid()

private struct PreloadFailure: Error, Codable {
  var path: String
}

private func load(_ count: Int, _ path: String) throws {
  // Before `loaded`, so that the array is the process's largest memory when the workers are forked.
  let numbers = Array(0..<count)
  loaded.withLock { $0 = (getpid(), numbers) }
  _ = maker
  append("\(getpid())\n", to: path)
}

private func lines(_ path: String) -> [String] {
  ((try? String(contentsOfFile: path, encoding: .utf8)) ?? "").split(separator: "\n").map(
    String.init)
}

/// The fork servers of this process that have the variable in their environment.
func forkServers(with variable: String) throws -> [pid_t] {
  try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { pid_t($0) }.filter {
    pid in
    guard (try? field("PPid", of: "/proc/\(pid)/status")) == "\(getpid())",
      (try? String(contentsOfFile: "/proc/\(pid)/comm", encoding: .utf8)) == "mproc-server\n",
      let environment = FileManager.default.contents(atPath: "/proc/\(pid)/environ")
    else { return false }
    return environment.range(of: Data(variable.utf8)) != nil && isAlive(pid)
  }
}

@Suite("Preload bodies", .serialized, .timeLimit(.minutes(2)))
struct PoolPreloadTests {
  private func problem(
    _ method: StartMethod, _ preload: WorkerBody, sourceLocation: SourceLocation = #_sourceLocation
  ) -> ProcessError? {
    #expect(throws: ProcessError.self, sourceLocation: sourceLocation) {
      try ProcessPool(
        workers: 2,
        configuration: .init {
          $0.startMethod = method
          $0.preload = preload
          $0.processOptions.standardError = .discard
        })
    }
  }

  @Test(
    "workers have what the preload body made, and it ran once for all of them",
    .enabled(if: hasForkServer, noForkServer))
  func once() async throws {
    try await withTemporaryDirectory { directory in
      let path = directory + "/log"
      try await withPool(.forkServer, workers: 3) {
        $0.preload = WorkerBody(1_000, path, body: load)
        // Else it follows the masks, which are others with another number of workers.
        $0.threadsPerWorker = 1
      } body: { pool in
        let seen = try await pool.broadcast {
          loaded.withLock { [$0.numbers.count, $0.numbers.last ?? -1, Int($0.process)] }
        }
        let server = try #require(seen.first?.last)
        #expect(seen == Array(repeating: [1_000, 999, server], count: 3))
        #expect(lines(path) == ["\(server)"])
        #expect(!pool.workers.contains { Int($0.processIdentifier) == server })
        #expect(try await pool.broadcast { maker } == Array(repeating: pid_t(server), count: 3))
        // A worker that takes another's place is a copy of the same server.
        await #expect(throws: ProcessError.self) { try await pool.run { () -> Int in exit(1) } }
        #expect(
          try await pool.broadcast { loaded.withLock { $0.numbers.count } } == [
            1_000, 1_000, 1_000,
          ])
        #expect(lines(path).count == 1)
        // And so is another pool's, and with other arguments it is another preload.
        for (count, runs) in [(1_000, 1), (10, 2)] {
          try await withPool(.forkServer, workers: 2) {
            $0.preload = WorkerBody(count, path, body: load)
            $0.threadsPerWorker = 1
          } body: { other in
            let seen = try await other.run { loaded.withLock { $0.numbers.count } }
            #expect(seen == count)
            #expect(lines(path).count == runs)
          }
        }
      }
    }
  }

  @Test("spawned workers run the preload body each, before anything else")
  func spawned() async throws {
    try await withTemporaryDirectory { directory in
      let path = directory + "/log"
      try await withPool(.spawn, workers: 2) {
        $0.preload = WorkerBody(500, path, body: load)
      } body: { pool in
        let processes = pool.workers.map { "\($0.processIdentifier)" }
        #expect(Set(lines(path)) == Set(processes))
        let counts = try await pool.broadcast { loaded.withLock { $0.numbers.count } }
        #expect(counts == [500, 500])
      }
    }
  }

  @Test(
    "after its death the server is started again, with the preload body",
    .enabled(if: hasForkServer, noForkServer))
  func restart() async throws {
    try await withTemporaryDirectory { directory in
      let path = directory + "/log"
      let mark = "MPROC_TEST_PRELOAD=" + UUID().uuidString
      try await withPool(.forkServer, workers: 2) {
        $0.preload = WorkerBody(700, path, body: load)
        $0.processOptions.environment = [
          "MPROC_TEST_PRELOAD": String(mark.drop { $0 != "=" }.dropFirst())
        ]
      } body: { pool in
        let before = try #require(try forkServers(with: mark).first)
        kill(before, SIGKILL)
        // The workers go on.
        #expect(try await pool.broadcast { loaded.withLock { $0.numbers.count } } == [700, 700])
        // Their successors come from a new server.
        for _ in 0..<2 {
          await #expect(throws: ProcessError.self) { try await pool.run { () -> Int in exit(1) } }
        }
        #expect(try await pool.broadcast { loaded.withLock { $0.numbers.count } } == [700, 700])
        let servers = try forkServers(with: mark)
        #expect(servers.count == 1 && servers[0] != before)
        #expect(lines(path) == ["\(before)", "\(servers[0])"])
      }
    }
  }

  @Test("shared memory can be an argument of a preload body", arguments: startMethods)
  func sharedMemory(_ method: StartMethod) async throws {
    let shared = try SharedArray<Int>([5, 6, 7])
    try await withPool(method) {
      $0.preload = WorkerBody(shared) { shared in
        loaded.withLock { $0.numbers = Array(shared) }
        shared[0] += 1
      }
    } body: { pool in
      let sums = try await pool.broadcast { loaded.withLock { $0.numbers.reduce(0, +) } }
      #expect(shared[0] == (method == .forkServer ? 6 : 7))
      #expect(method == .forkServer ? sums == [18, 18] : Set(sums).isSubset(of: [18, 19]))
      #expect(try await pool.run(shared) { $0[1] } == 6)
    }
  }

  @Test(
    "what a preload body makes is shared with its workers until they write",
    .enabled(if: hasForkServer, noForkServer))
  func copyOnWrite() async throws {
    let byteCount = 64 << 20
    try await withPool(.forkServer, workers: 2) {
      $0.preload = WorkerBody(byteCount / 8, "/dev/null", body: load)
    } body: { pool in
      let privateBytes = try await pool.broadcast { () throws -> Int in
        let sum = loaded.withLock { $0.numbers.reduce(0, &+) }
        guard sum > 0 else { return Int.max }
        let text = try String(contentsOfFile: "/proc/self/smaps_rollup", encoding: .utf8)
        return text.split(separator: "\n").filter { $0.hasPrefix("Private_Dirty:") }
          .compactMap { $0.split(separator: " ").dropFirst().first.flatMap { Int($0) } }
          .reduce(0, +) * 1_024
      }
      // All of it has been read in each worker; what is a worker's own is the rest.
      #expect(privateBytes.allSatisfy { $0 < byteCount / 4 }, "\(privateBytes)")
    }
  }

  @Test("a preload body that awaits is refused", arguments: startMethods)
  func asynchronous(_ method: StartMethod) throws {
    let error = problem(
      method, WorkerBody(1) { (_: Int) async throws -> Void in await Task.yield() })
    #expect(try configurationProblem(of: error).contains("awaits"))
  }

  @Test("a preload body that captures is refused", arguments: startMethods)
  func captures(_ method: StartMethod) throws {
    let step = Int.random(in: 0...9)
    // What has no effect the optimiser would leave out, and the capture with it.
    let error = problem(method, WorkerBody { if step > 100 { abort() } })
    #expect(try transferFailure(of: error).reason.contains("captures"))
  }

  @Test("an error of a preload body is thrown where the pool is made", arguments: startMethods)
  func failure(_ method: StartMethod) throws {
    let error = problem(method, WorkerBody("model.bin") { throw PreloadFailure(path: $0) })
    guard case .failed(let remote)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(remote.typeName.contains("PreloadFailure"))
    #expect(remote.message.contains("model.bin"))
    #expect("\(remote)".contains("preload"))
  }

  @Test(
    "a crash of a preload body is thrown where the pool is made", arguments: startMethods,
    Crash.allCases)
  func crash(_ method: StartMethod, _ crash: Crash) throws {
    let report = try crashReport(of: problem(method, WorkerBody(crash) { $0.perform() }))
    #expect(crash.matches(report.exitStatus), "\(report)")
    #expect("\(report)".contains("preload"))
  }

  @Test("after a preload body failed the next pool works", arguments: startMethods)
  func afterFailure(_ method: StartMethod) async throws {
    try await withTemporaryDirectory { directory in
      let preload = WorkerBody(directory + "/exists") { path in
        guard FileManager.default.fileExists(atPath: path) else { throw PreloadFailure(path: path) }
        loaded.withLock { $0.numbers = [42] }
      }
      guard case .failed? = problem(method, preload) else {
        Issue.record("the first pool was made")
        return
      }
      #expect(FileManager.default.createFile(atPath: directory + "/exists", contents: nil))
      try await withPool(method) {
        $0.preload = preload
      } body: { pool in
        let numbers = try await pool.run { loaded.withLock { $0.numbers } }
        #expect(numbers == [42])
      }
    }
  }

  @Test("a preload body cannot start processes", arguments: startMethods)
  func startsProcesses(_ method: StartMethod) async throws {
    let preload = WorkerBody {
      let child = try ChildProcess(1) { $0 }
      child.kill()
    }
    guard method == .forkServer else {
      // A worker may.
      return try await withPool(method) {
        $0.preload = preload
      } body: { pool in
        let sum = try await pool.run(1) { $0 + 1 }
        #expect(sum == 2)
      }
    }
    guard case .failed(let remote)? = problem(method, preload) else {
      Issue.record("no error")
      return
    }
    #expect(remote.message.contains("preload"))
  }

  @Test("a preload body that leaves a thread behind runs in each worker instead")
  func threads() async throws {
    try await withTemporaryDirectory { directory in
      let path = directory + "/log"
      try await withPool(.forkServer, workers: 2) {
        $0.preload = WorkerBody(path) { path in
          append("\(getpid())\n", to: path)
          Thread { while true { sleep(1_000) } }.start()
          loaded.withLock { $0.numbers = [1, 2, 3] }
        }
      } body: { pool in
        let processes = pool.workers.map { "\($0.processIdentifier)" }
        #expect(Set(processes).isSubset(of: Set(lines(path))))
        #expect(
          try await pool.broadcast { loaded.withLock { $0.numbers } } == [[1, 2, 3], [1, 2, 3]])
        let parents = try await pool.broadcast { CurrentProcess.parentProcessIdentifier }
        #expect(parents == [getpid(), getpid()])
        // Threads work there as anywhere.
        #expect(try await pool.run { () async throws -> Int in await Task { 7 }.value } == 7)
      }
    }
  }

  @Test("workers of a preloaded server have the whole runtime")
  func runtime() async throws {
    try await withPool(.forkServer) {
      $0.preload = WorkerBody {
        // Uses what caches the thread's number.
        loaded.withLock { $0.numbers = [1] }
        _ = maker
      }
    } body: { pool in
      let result = try await pool.run(64) { (n: Int) async throws -> Int in
        await withTaskGroup(of: Int.self) { group in
          for index in 0..<n {
            group.addTask {
              loaded.withLock { $0.numbers.append(index) }
              return index
            }
          }
          return await group.reduce(0, +)
        }
      }
      #expect(result == 2_016)
      #expect(
        try await pool.broadcast { () async throws -> Int in
          try await Task.sleep(for: .milliseconds(1))
          return loaded.withLock { $0.numbers.count }
        }.reduce(0, +) == 66)
    }
  }

  @Test("what a preload body prints comes out once")
  func output() async throws {
    try await withTemporaryDirectory { directory in
      let path = directory + "/out"
      let preload = WorkerBody(path) { path in
        // The server's own standard output, which its workers replace by the application's.
        dup2(unsafe open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600), STDOUT_FILENO)
        print("from the preload body", terminator: "")
      }
      try await withPool(.forkServer, workers: 3) {
        $0.preload = preload
      } body: { pool in
        try await pool.broadcast { () -> Void in fflush(nil) }
      }
      #expect(try String(contentsOfFile: path, encoding: .utf8) == "from the preload body")
    }
  }
}
