// Forks an application whose threads never rest: in memory, types, locks, streams and dispatch queues. Each forked
// body gives the right result, or an error that says why it cannot go on, in bounded time.

import Dispatch
import Glibc
import Multiprocessing
import Synchronization

enum ForkHammer {
  private enum Kind: Int, CaseIterable {
    case memory, types, printing, threads, queue
  }

  private struct Tally {
    var results = 0
    /// Ended because they could not go on, or were never begun for the same reason.
    var stuck = 0
    var refused = 0
    var crashed = 0
  }

  static func run(forks count: Int) async throws {
    // The hammers print, and nobody is to see it.
    _ = output
    let null = unsafe open("/dev/null", O_WRONLY | O_CLOEXEC)
    dup2(null, STDOUT_FILENO)
    Hammers.start()
    var tallies = Kind.allCases.map { _ in Tally() }
    for number in 0..<count {
      let kind = Kind.allCases[number % Kind.allCases.count]
      try await fork(number, kind, &tallies[kind.rawValue])
    }
    for (kind, tally) in zip(Kind.allCases, tallies) {
      say("\(kind): \(tally)")
      guard kind != .queue else { continue }
      check(tally.results > 0 && tally.crashed == 0, "\(kind): \(tally)")
    }
    // The copy has none of the threads that serve queues: it must not wait for them for ever.
    let queue = tallies[Kind.queue.rawValue]
    check(queue.results == 0, "queue: \(queue)")
    say("fork-hammer passed")
    // The hammers never end, and hold the streams.
    _exit(0)
  }

  /// `require` would print to nowhere.
  private static func check(_ condition: Bool, _ message: @autoclosure () -> String) {
    guard !condition else { return }
    say(message())
    _exit(1)
  }

  private static let output = dup(STDOUT_FILENO)

  private static func say(_ line: String) {
    let line = line + "\n"
    _ = unsafe write(output, line, line.utf8.count)
  }

  private static func fork(_ number: Int, _ kind: Kind, _ tally: inout Tally) async throws {
    do {
      let options = ProcessOptions(
        standardOutput: kind == .printing ? .capture : .discard, standardError: .discard)
      let child = try ChildProcess.forking(options: options) { perform(number, kind) }
      let value = try await child.value
      check(value == number * 3, "\(kind): \(value), not \(number * 3)")
      if kind == .printing {
        let text = try await child.standardOutput.text
        check(text == "number \(number)\n", "printed: \(text.debugDescription)")
      }
      tally.results += 1
    } catch ProcessError.crashed(let report) {
      if report.message?.contains("lock") == true { tally.stuck += 1 } else { tally.crashed += 1 }
    } catch ProcessError.startFailed(.deadlock, _) {
      tally.refused += 1
    }
  }

  // MARK: - What the copies do

  private static func perform(_ number: Int, _ kind: Kind) -> Int {
    switch kind {
    case .memory:
      let rows = (0..<200).map { row in [Int](repeating: row, count: row + 1).map { "\($0)" } }
      return rows.count == 200 ? number * 3 : -1
    case .types:
      // Types that the hammers make too, and others that they do not.
      let names = [Nested<Int>.name(depth: 3 + number % 40), Nested<Never>.name(depth: 9)]
      return names.contains("") ? -1 : number * 3
    case .printing:
      print("number \(number)")
      return number * 3
    case .threads: return contend() ? number * 3 : -1
    case .queue:
      let done = DispatchSemaphore(value: 0)
      DispatchQueue.global().async { done.signal() }
      done.wait()
      return number * 3
    }
  }

  private static let slowGlobal: Int = {
    usleep(2_000)
    return 7
  }()

  private final class Counters: Sendable {
    let sum = Mutex(0)
    let finished = Atomic<Int>(0)

    func add(_ count: Int) {
      for _ in 0..<count { sum.withLock { $0 += 1 } }
      finished.add(1, ordering: .acquiringAndReleasing)
    }
  }

  /// Threads that wait for each other's locks: from a thread that owns them under another number they would
  /// never get them.
  private static func contend() -> Bool {
    let counters = Counters()
    for _ in 0..<4 { startThread { counters.add(slowGlobal * 200) } }
    counters.add(slowGlobal * 200)
    while counters.finished.load(ordering: .acquiring) < 5 { usleep(100) }
    return counters.sum.withLock { $0 } == 5 * 7 * 200
  }
}

/// Types without end.
private struct Nested<Value> {
  var value: Value

  static func name(depth: Int) -> String {
    depth == 0 ? "\([Self].self)" : Nested<Self>.name(depth: depth - 1)
  }
}

/// Threads that use what the runtime and the C library guard with locks, all the time.
private enum Hammers {
  private static let text = Mutex("")

  static func start() {
    startThread { while true { memory() } }
    startThread { for depth in 0... { types(depth) } }
    startThread { while true { streams() } }
    startThread { while true { queues() } }
    startThread { while true { text.withLock { $0 = "\($0.count)" } } }
    // Holds the lock of its stream for ever.
    startThread { waitForInput() }
  }

  private static func memory() {
    let rows = (0..<50).map { [UInt8](repeating: 1, count: 1 << ($0 % 14)) }
    if rows.isEmpty { exit(1) }
  }

  private static func types(_ depth: Int) {
    // Deeper and deeper, as far as names stay short.
    let kinds: [(Int) -> String] = [
      Nested<Int>.name, Nested<String>.name, Nested<[UInt8]>.name, Nested<Double?>.name,
    ]
    _ = kinds[depth % kinds.count](depth / kinds.count % 300)
    _ = (kinds as Any) as? any Hashable
  }

  private static func streams() {
    guard let null = unsafe fopen("/dev/null", "w") else { return }
    unsafe fputs("not written yet", null)
    // On standard output too, so that every copy has something of it that is not its own.
    print("hammer", terminator: "")
    unsafe fclose(null)
  }

  private static func queues() {
    let group = DispatchGroup()
    for _ in 0..<8 { DispatchQueue.global().async(group: group) {} }
    group.wait()
  }

  private static func waitForInput() {
    var ends: [Int32] = [0, 0]
    guard unsafe pipe(&ends) == 0, let stream = unsafe fdopen(ends[0], "r") else { return }
    _ = unsafe getc(stream)
  }
}

/// Starts a thread that nobody waits for.
func startThread(_ body: @escaping @Sendable () -> Void) {
  final class Box: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  var thread = pthread_t()
  let error = unsafe pthread_create(
    &thread, nil,
    { context in
      guard let context = unsafe context else { return nil }
      unsafe Unmanaged<Box>.fromOpaque(context).takeRetainedValue().body()
      return nil
    }, Unmanaged.passRetained(Box(body)).toOpaque())
  require(error == 0, "no thread: \(error)")
  pthread_detach(thread)
}
