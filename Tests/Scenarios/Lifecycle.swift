// The whole life of pools and children, twice, for runs in which a system call is made to fail: whatever
// fails, each step brings its right result or an error that is documented, and nothing is left behind.

import Glibc
import Multiprocessing
import Synchronization

enum Lifecycle {
  /// What a run in which nothing fails holds at its end.
  struct Reference {
    var descriptors: Int
    var mappings: Int

    static func now() -> Reference {
      Reference(
        descriptors: entryCount("/proc/self/fd"), mappings: entryCount("/proc/self/map_files"))
    }

    func exceeds(_ other: Reference) -> Bool {
      descriptors > other.descriptors || mappings > other.mappings
    }
  }

  /// The exit status when a step failed with an error that is documented.
  private static let failedStatus: Int32 = 3
  private static let failures = Mutex<[any Error]>([])

  /// - Parameter arguments: The start method, and the two numbers that a run in which nothing failed has printed.
  static func run(_ arguments: ArraySlice<String>) async {
    let numbers = arguments.dropFirst().compactMap { Int($0) }
    guard let method = arguments.first.flatMap(StartMethod.init(rawValue:)),
      numbers.count == arguments.count - 1, numbers.isEmpty || numbers.count == 2
    else { Scenarios.usage() }
    await run(
      method,
      numbers.isEmpty ? nil : Reference(descriptors: numbers[0], mappings: numbers[1]))
  }

  /// Prints `begin`, and goes on after a line of input or its end, so that a tracer can attach.
  ///
  /// - Parameter reference: What may be held at the end; nil: what the first round leaves.
  private static func run(_ method: StartMethod, _ reference: Reference?) async {
    // The threads and timers of the runtime are there before anything is made to fail.
    await startPoolThreads()
    try? await Task.sleep(for: .milliseconds(1))
    writeLine("begin")
    _ = getchar()
    await round(method, isGraceful: true)
    var reference = reference
    if reference == nil {
      await settle { _ in false }
      reference = .now()
    }
    await round(method, isGraceful: false)
    guard let reference else { return }
    await settle { !$0.exceeds(reference) }
    report(reference)
  }

  private static func report(_ reference: Reference) -> Never {
    let held = Reference.now()
    writeLine("holds \(held.descriptors) \(held.mappings)")
    if held.exceeds(reference) {
      let all = Holdings.now()
      writeLine("lifecycle leaks, over \(reference): \(all.descriptors) \(all.mappings)")
      exit(1)
    }
    let failures = failures.withLock(\.self)
    guard let first = failures.first else {
      writeLine("lifecycle passed")
      exit(0)
    }
    // Of an enumeration the mirror knows the case.
    let kind = Mirror(reflecting: first).children.first?.label ?? "\(type(of: first))"
    writeLine("lifecycle failed: \(kind), one of \(failures.count): \(first)")
    exit(failedStatus)
  }

  private static func round(_ method: StartMethod, isGraceful: Bool) async {
    switch method {
    case .fork: await ForkedSteps.run()
    default:
      await step { try await PoolSteps.run(method, isGraceful: isGraceful) }
      await step { try await ChildSteps.run(method) }
    }
  }

  /// Notes an error that is documented; any other ends this process.
  static func step(_ body: () async throws -> Void) async {
    do {
      try await body()
    } catch {
      require(
        error is ProcessError || error is CancellationError,
        "lifecycle defect: \(type(of: error)): \(error)")
      failures.withLock { $0.append(error) }
    }
  }

  /// Waits for what ends asynchronously: until the condition has held twice, or the counts have stood still for
  /// half a second; 5 s at most.
  private static func settle(_ isDone: (Reference) -> Bool) async {
    var last = Reference.now()
    var unchanged = 0
    var held = 0
    for _ in 0..<250 where unchanged < 25 {
      try? await Task.sleep(for: .milliseconds(20))
      let now = Reference.now()
      held = isDone(now) ? held + 1 : 0
      if held == 2 { return }
      unchanged = now.exceeds(last) || last.exceeds(now) ? 0 : unchanged + 1
      last = now
    }
  }
}

// MARK: - Reading and writing that a failing call does not disturb

/// Writes a line, again and again: nobody would see a verdict that was not written.
func writeLine(_ line: String) {
  var rest = Array((line + "\n").utf8)[...]
  for _ in 0..<1_000 where !rest.isEmpty {
    let written = unsafe rest.withUnsafeBytes { unsafe write(1, $0.baseAddress, $0.count) }
    rest = rest.dropFirst(max(0, written))
  }
}

private func entryCount(_ directory: String) -> Int {
  guard let stream = unsafe opendir(directory) else { return 0 }
  defer { unsafe closedir(stream) }
  var count = 0
  while unsafe readdir(stream) != nil { count += 1 }
  return count
}
