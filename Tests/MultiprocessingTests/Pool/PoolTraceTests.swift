// The timeline of a pool.

import Foundation
import Glibc
import Multiprocessing
import Testing

/// A trace file, taken apart.
private struct Timeline {
  struct Event {
    var name: String
    var category: String
    var phase: String
    var row: Int
    /// Nanoseconds.
    var began: Int
    var ended: Int
    var arguments: [String: Any]

    func number(_ key: String) -> Int { arguments[key] as? Int ?? -1 }
    var end: String { arguments["end"] as? String ?? "" }
  }

  var events: [Event] = []
  /// Names by number.
  var rows: [Int: String] = [:]
  var processName = ""

  init(_ path: String) throws {
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    let list = try #require(try JSONSerialization.jsonObject(with: data) as? [[String: Any]])
    for entry in list {
      let name = try #require(entry["name"] as? String)
      let arguments = try #require(entry["args"] as? [String: Any])
      let row = try #require(entry["tid"] as? Int)
      #expect(entry["pid"] as? Int == Int(getpid()))
      switch try #require(entry["ph"] as? String) {
      case "M" where name == "process_name": processName = arguments["name"] as? String ?? ""
      case "M" where name == "thread_name": rows[row] = arguments["name"] as? String
      case "M": #expect(name == "thread_sort_index")
      case let phase:
        let began = try Self.nanoseconds(entry["ts"])
        let length = phase == "X" ? try Self.nanoseconds(entry["dur"]) : 0
        events.append(
          Event(
            name: name, category: entry["cat"] as? String ?? "", phase: phase, row: row,
            began: began, ended: began + length, arguments: arguments))
      }
    }
  }

  private static func nanoseconds(_ value: Any?) throws -> Int {
    Int((try #require(value as? Double) * 1_000).rounded())
  }

  /// Those that a worker ran.
  var work: [Event] { events.filter { $0.phase == "X" && $0.category != "worker" } }

  func instants(_ name: String) -> [Event] { events.filter { $0.phase == "i" && $0.name == name } }
}

/// The clock of traces.
private func now() -> Int {
  var time = timespec()
  unsafe clock_gettime(CLOCK_MONOTONIC, &time)
  return time.tv_sec * 1_000_000_000 + time.tv_nsec
}

@Suite("The timeline of a pool", .serialized, .timeLimit(.minutes(2)))
struct PoolTraceTests {
  private struct Odd: Error, Codable {}

  private struct Doubling: ProcessTask {
    var number: Int
    func run() async -> Int { number * 2 }
  }

  /// The timeline of what `body` does.
  private func timeline(
    _ method: StartMethod = .forkServer, workers: Int = 2,
    _ configure: (inout ProcessPool.Configuration) -> Void = { _ in },
    body: (ProcessPool) async throws -> Void
  ) async throws -> Timeline {
    try await withTemporaryDirectory { directory in
      let path = directory + "/trace.json"
      try await withPool(
        method, workers: workers,
        {
          $0.trace = FilePath(path)
          configure(&$0)
        }, body: body)
      return try Timeline(path)
    }
  }

  /// What covers the items of a map, each once.
  private func items(_ events: [Timeline.Event]) -> [Int] {
    events.flatMap { $0.number("first")..<$0.number("first") + $0.number("count") }.sorted()
  }

  @Test("one row for each worker, one event for each record", arguments: startMethods)
  func rows(_ method: StartMethod) async throws {
    var processes: [pid_t] = []
    let before = now()
    let timeline = try await timeline(method) { pool in
      processes = try await pool.broadcast { getpid() }
      _ = try await pool.map(0..<5_000) { (n: Int) -> Int in
        if n % 100 == 0 { usleep(1_000) }
        return n
      }
      _ = try await pool.run(1, "x") { (n: Int, text: String) in text }
      for try await _ in pool.results(of: 0..<10, body: { $0 }) {}
      _ = try await pool.map((0..<3).map { Doubling(number: $0) })
      _ = try await pool.submit(1) { $0 }.value
    }
    let after = now()
    #expect(timeline.processName == "pool")
    #expect(Set(timeline.rows.values) == ["worker 0", "worker 1"])
    #expect(Set(timeline.events.map(\.row)) == Set(timeline.rows.keys))
    #expect(timeline.instants("start").count == 2)
    #expect(
      Set(timeline.instants("start").map { $0.number("process") }) == Set(processes.map(Int.init)))
    #expect(timeline.events.filter { $0.name == "start-up" && $0.phase == "X" }.count == 2)
    #expect(timeline.instants("retirement").count == 2)
    #expect(
      timeline.events.allSatisfy { before <= $0.began && $0.began <= $0.ended && $0.ended <= after }
    )
    let jobs = Dictionary(grouping: timeline.work) { $0.number("job") }
    #expect(jobs.count == 6 + 1)  // A broadcast is one job for each worker.
    func events(_ kind: String) -> [Timeline.Event] {
      timeline.work.filter { $0.category == kind && $0.name != "Doubling" }
    }
    #expect(items(events("map")) == Array(0..<5_000))
    #expect(events("map").allSatisfy { $0.name == "(Int) -> Int" && $0.end == "succeeded" })
    #expect(items(events("results")) == Array(0..<10))
    #expect(items(timeline.work.filter { $0.name == "Doubling" }) == [0, 1, 2])
    #expect(events("run").map(\.name) == ["(Int, String) -> String"])
    #expect(events("submit").count == 1 && events("broadcast").count == 2)
    for kind in ["map", "results", "run"] {
      #expect(Set(events(kind).map { $0.number("job") }).count == 1)
    }
    #expect(timeline.work.allSatisfy { processes.map(Int.init).contains($0.number("process")) })
  }

  @Test("events enclose what ran, and those of one worker do not overlap", arguments: startMethods)
  func times(_ method: StartMethod) async throws {
    var spans: [[Int]] = []
    let timeline = try await timeline(method, workers: 1, { $0.chunkSize = .fixed(1) }) { pool in
      spans = try await pool.map(0..<2_000) { (_: Int) in
        // The application sees many results at once, long after they came to be.
        [now(), now()]
      }
    }
    let events = timeline.work.sorted { $0.number("first") < $1.number("first") }
    #expect(events.count == 2_000)
    // Nanoseconds as microseconds in a Double are exact to a few units in these tests.
    let slack = 1_000
    for (event, span) in zip(events, spans) {
      #expect(event.began <= span[0] + slack && span[1] <= event.ended + slack)
    }
    let overlaps = zip(events, events.dropFirst()).filter { $1.began + slack < $0.ended }
    #expect(overlaps.isEmpty)
  }

  @Test("results too large for a ring have their times, too", arguments: [1 << 20, 100_000])
  func large(_ size: Int) async throws {
    var spans: [[UInt8]] = []
    let timeline = try await timeline(workers: 1) { pool in
      spans = try await pool.map([size, size, size]) { [UInt8](repeating: 0, count: $0) }
    }
    #expect(spans.map(\.count) == [size, size, size])
    #expect(items(timeline.work) == [0, 1, 2])
    #expect(zip(timeline.work, timeline.work.dropFirst()).allSatisfy { $0.ended <= $1.began })
  }

  @Test("crashes, failures, retries and replaced workers can be seen", arguments: startMethods)
  func failures(_ method: StartMethod) async throws {
    let flags = try SharedFlags(count: 1)
    let timeline = try await timeline(
      method, workers: 1, { $0.retry = .afterError(max: 2, backoff: .constant(.zero)) }
    ) { pool in
      await #expect(throws: Odd.self) { try await pool.run { () throws -> Int in throw Odd() } }
      await #expect(throws: ProcessError.self) {
        try await pool.run(flags) { (flags: SharedFlags) -> Int in
          usleep(20_000)
          Crash.killed.perform()
        }
      }
      _ = try await pool.run { 1 }
      try await pool.warmUp()
    }
    #expect(timeline.work.map(\.end) == ["failed", "failed", "crashed", "crashed", "succeeded"])
    let crashed = try #require(timeline.work.first { $0.end == "crashed" })
    #expect(crashed.ended - crashed.began >= 20_000_000)
    let crash = try #require(timeline.instants("crash").first)
    #expect(crash.number("process") == crashed.number("process"))
    #expect((crash.arguments["reason"] as? String)?.contains("SIGKILL") == true)
    #expect(crash.row == crashed.row)
    #expect(timeline.instants("start").count == 3)
    #expect(Set(timeline.work.map(\.row)).count == 1)
    let retry = try #require(timeline.instants("retry").first)
    #expect(timeline.instants("retry").count == 2)
    #expect(timeline.rows[retry.row] == "pool")
    #expect(retry.number("job") == timeline.work[0].number("job"))
    #expect(retry.number("attempt") == 2 && retry.number("item") == 0)
  }

  @Test("a chunk of which one item crashes ends there, and the rest is another record")
  func partialRecord() async throws {
    let timeline = try await timeline(workers: 1, { $0.chunkSize = .fixed(10) }) { pool in
      for await _ in pool.outcomes(
        of: 0..<10,
        body: { (n: Int) -> Int in
          if n == 3 { Crash.killed.perform() }
          return n
        })
      {}
    }
    let work = timeline.work
    #expect(work.map(\.end) == ["crashed", "succeeded"])
    #expect(work.map { $0.number("first") } == [0, 4])
    #expect(work.map { $0.number("count") } == [4, 6])
  }

  @Test("onWorkerStart, names that need escapes, cancelled tasks")
  func others() async throws {
    let timeline = try await timeline(
      workers: 1,
      {
        $0.onWorkerStart = WorkerBody { usleep(5_000) }
        $0.processOptions.name = "a \"pool\"\\\n\u{1F}é"
      }
    ) { pool in
      let task = Task {
        try await pool.run { () async throws in try await Task.sleep(for: .seconds(1_000)) }
      }
      try await until { pool.workers[0].state == .busy }
      task.cancel()
      await #expect(throws: CancellationError.self) { try await task.value }
    }
    #expect(timeline.processName == "a \"pool\"\\\n\u{1F}é")
    #expect(timeline.work.map(\.category) == ["onWorkerStart", "run"])
    #expect(timeline.work.map(\.end) == ["succeeded", "cancelled"])
    let startUp = try #require(timeline.events.first { $0.name == "start-up" })
    #expect(startUp.began <= timeline.work[0].began && timeline.work[0].ended <= startUp.ended)
    #expect(startUp.ended - startUp.began >= 5_000_000)
  }

  @Test("in serial mode there is one row")
  func inProcess() async throws {
    let timeline = try await timeline(.forkServer, { $0.execution = .inProcess }) { pool in
      _ = try await pool.map(0..<20) { $0 }
      _ = try? await pool.run { () throws -> Int in throw Odd() }
    }
    #expect(items(timeline.work.filter { $0.category == "map" }) == Array(0..<20))
    #expect(timeline.work.last?.end == "failed")
    #expect(Array(timeline.rows.values) == ["worker 0"])
  }

  @Test("the file is complete whenever it is looked at")
  func complete() async throws {
    try await withTemporaryDirectory { directory in
      let path = directory + "/trace.json"
      try await withPool(.forkServer, { $0.trace = FilePath(path) }) { pool async throws in
        #expect(try Timeline(path).processName == "pool")
        try await pool.warmUp()
        // A look in the middle of a write sees no JSON.
        try await until { (try? Timeline(path))?.instants("start").count == 2 }
        _ = try await pool.run { 1 }
        try await until { (try? Timeline(path))?.work.count == 1 }
      }
    }
  }

  @Test("a dropped pool completes its file")
  func dropped() async throws {
    try await withTemporaryDirectory { directory in
      let path = directory + "/trace.json"
      do {
        let pool = try ProcessPool(workers: 1, configuration: .init { $0.trace = FilePath(path) })
        _ = try await pool.map(0..<10) { $0 }
      }
      try await until { (try? Timeline(path)).map { items($0.work) } == Array(0..<10) }
    }
  }

  @Test("a file that cannot be written is refused, by name")
  func refusals() async throws {
    try await withTemporaryDirectory { directory in
      func problem(_ path: String) throws -> String {
        let error = #expect(throws: ProcessError.self) {
          try ProcessPool(workers: 1, configuration: .init { $0.trace = FilePath(path) })
        }
        return try configurationProblem(of: error)
      }
      let missing = try problem(directory + "/no/such/folder")
      #expect(missing.contains(directory + "/no/such/folder"))
      #expect(missing.contains("No such file"))
      #expect(try problem(directory).contains("directory"))
      let pipe = directory + "/pipe"
      #expect(unsafe mkfifo(pipe, 0o600) == 0)
      #expect(try problem(pipe).contains("regular file"))
      let path = directory + "/trace.json"
      try await withPool(.forkServer, { $0.trace = FilePath(path) }) { pool async throws in
        #expect(try problem(path).contains("another pool"))
        _ = try await pool.run { 1 }
      }
      #expect(try Timeline(path).work.count == 1)
      // Free again, and emptied.
      try await withPool(.forkServer, { $0.trace = FilePath(path) }) { _ in }
      #expect(try Timeline(path).work.isEmpty)
    }
  }
}
