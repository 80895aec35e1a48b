// What a report says of a crash, whatever ran, however it was started, in debug and release builds.

import Foundation
import Glibc
import Multiprocessing
import Testing

/// What runs the body that crashes.
enum Host: CaseIterable {
  case child, worker
}

/// A body with a fault. A task instead of a closure: a generic function can pass it on.
struct FaultyTask: ProcessTask {
  var fault: Fault

  func run() -> Int {
    fault.perform()
    return 0
  }
}

struct CrashingTask: ProcessTask {
  var crash: Crash

  func run() -> Int { crash.perform() }
}

/// The report of a body that crashes; what it writes to standard error is not shown.
func report(_ host: Host, _ method: StartMethod, _ fault: Fault) async throws -> CrashReport {
  try await report(host, method, FaultyTask(fault: fault))
}

func report<T: ProcessTask>(
  _ host: Host, _ method: StartMethod, _ task: T,
  _ configure: (inout ProcessOptions) -> Void = { _ in }
) async throws -> CrashReport where T.Output: Sendable {
  var options = ProcessOptions(method)
  options.standardError = .capture
  configure(&options)
  let error: ProcessError?
  switch host {
  case .child:
    let child = try ChildProcess(task, options: options)
    error = await #expect(throws: ProcessError.self) { _ = try await child.value }
  case .worker:
    error = try await withPool(method, workers: 1, { $0.processOptions = options }) { pool in
      await #expect(throws: ProcessError.self) { _ = try await pool.run(task) }
    }
  }
  return try crashReport(of: error)
}

@Suite("Crash reports", .serialized, .timeLimit(.minutes(2)))
struct CrashReportTests {
  @Test("a trap is explained", arguments: Host.allCases, startMethods)
  func message(_ host: Host, _ method: StartMethod) async throws {
    // Debug builds print some of these; for the rest the debug information has them.
    let texts: [(Crash, String)] = [
      (.indexOutOfRange, "ndex out of range"), (.nilUnwrapped, "nexpectedly found nil"),
      (.overflow, "arithmetic overflow"),
      (.fatalError, "Fatal error: the crash that was asked for"),
    ]
    for (crash, text) in texts {
      let report = try await report(host, method, CrashingTask(crash: crash))
      #expect(report.message?.contains(text) == true, "\(crash): \(report.message ?? "nil")")
      #expect("\(report)".contains(text))
      #expect(crash.matches(report.exitStatus))
      #expect(report.backtrace?.contains("Crash.perform()") == true, "\(report.backtrace ?? "nil")")
      #expect(report.backtrace?.contains("/Support/Crash.swift:") == true)
      #expect(report.residentByteCount.map { $0 > 1_000_000 } == true)
      #expect(!report.ranOutOfMemory)
    }
  }

  @Test(
    "a bad access has its address, and its stack down to the body", arguments: Host.allCases,
    startMethods)
  func badAccess(_ host: Host, _ method: StartMethod) async throws {
    let report = try await report(host, method, .badAccess)
    #expect(report.exitStatus == .signaled(Signal(rawValue: SIGSEGV), coreDumped: false))
    #expect(report.faultAddress == UInt(Fault.badAddress))
    #expect(report.message == nil)
    let lines = (report.backtrace ?? "").split(separator: "\n")
    let thread = host == .child ? "mproc-child" : "mproc-worker-0"
    #expect(lines.first?.hasPrefix("thread \(report.processIdentifier) \"\(thread)\"") == true)
    #expect(lines.contains { $0.contains("Fault.perform() at ") && $0.contains("/Fault.swift:") })
    #expect(
      lines.contains {
        $0.contains("FaultyTask.run() at ") && $0.contains("/CrashReportTests.swift:")
      })
  }

  @Test("a signal that is not the kernel's has no address", arguments: Host.allCases, startMethods)
  func sent(_ host: Host, _ method: StartMethod) async throws {
    let report = try await report(host, method, .sent)
    #expect(report.exitStatus == .signaled(Signal(rawValue: SIGBUS), coreDumped: false))
    #expect(report.faultAddress == nil)
    #expect(report.backtrace?.contains("Fault.perform()") == true, "\(report.backtrace ?? "nil")")
  }

  // The C library keeps no frame pointers: its callers are found nevertheless.
  @Test("abort is traced to its caller", arguments: Host.allCases, startMethods)
  func abort(_ host: Host, _ method: StartMethod) async throws {
    let report = try await report(host, method, .abort)
    #expect(report.exitStatus == .signaled(.abort, coreDumped: false))
    #expect(report.message == nil)
    #expect(report.backtrace?.contains("Fault.perform()") == true, "\(report.backtrace ?? "nil")")
    #expect(report.backtrace?.contains(" abort") == true, "\(report.backtrace ?? "nil")")
  }

  @Test("a failed cast is explained", arguments: Host.allCases, startMethods)
  func failedCast(_ host: Host, _ method: StartMethod) async throws {
    let report = try await report(host, method, .failedCast)
    #expect(report.exitStatus == .signaled(.abort, coreDumped: false))
    #expect(report.message?.contains("Could not cast value of type") == true, "\(report)")
    #expect(report.backtrace?.contains("Fault.perform()") == true, "\(report.backtrace ?? "nil")")
  }

  @Test("a stack overflow is recorded from both ends", arguments: Host.allCases, startMethods)
  func stackOverflow(_ host: Host, _ method: StartMethod) async throws {
    let report = try await report(host, method, .stackOverflow)
    #expect(report.exitStatus == .signaled(Signal(rawValue: SIGSEGV), coreDumped: false))
    #expect(report.message == "stack overflow")
    let backtrace = report.backtrace ?? ""
    #expect(backtrace.contains("goDeep(_:)"))
    #expect(backtrace.contains(" more\n"))
    #expect(backtrace.contains(" more like it\n"))
    #expect(backtrace.contains("Fault.perform()"), "\(backtrace)")
    #expect(backtrace.split(separator: "\n").count < 60)
  }

  @Test("a crash of another thread is recorded", arguments: Host.allCases, startMethods)
  func otherThread(_ host: Host, _ method: StartMethod) async throws {
    let report = try await report(host, method, .otherThread)
    #expect(report.faultAddress == UInt(Fault.badAddress))
    #expect(report.backtrace?.contains("\"beside\":") == true, "\(report.backtrace ?? "nil")")
    #expect(report.backtrace?.contains("Fault.perform()") == true)
  }

  @Test("what cannot be recorded is said", arguments: Host.allCases, startMethods)
  func otherThreadStackOverflow(_ host: Host, _ method: StartMethod) async throws {
    let report = try await report(host, method, .otherThreadStackOverflow)
    #expect(report.exitStatus == .signaled(Signal(rawValue: SIGSEGV), coreDumped: false))
    #expect(report.message?.contains("no record") == true)
    #expect(report.backtrace == nil)
  }

  @Test("a damaged stack costs the backtrace alone", arguments: Host.allCases, startMethods)
  func damagedStack(_ host: Host, _ method: StartMethod) async throws {
    let report = try await report(host, method, .damagedStack)
    #expect(report.exitStatus == .signaled(Signal(rawValue: SIGSEGV), coreDumped: false))
    #expect(report.faultAddress == UInt(Fault.badAddress))
    #expect(report.backtrace?.contains("damageStack()") == true, "\(report.backtrace ?? "nil")")
  }

  @Test("a body's own handler wins", arguments: Host.allCases, startMethods)
  func ownHandler(_ host: Host, _ method: StartMethod) async throws {
    let report = try await report(host, method, .ownHandler)
    #expect(report.exitStatus == .exited(42))
    #expect(report.backtrace == nil)
    #expect(report.message == nil)
    #expect(report.faultAddress == nil)
  }

  @Test(
    "an async function is traced to those that await it", arguments: Host.allCases, startMethods)
  func async(_ host: Host, _ method: StartMethod) async throws {
    let options = ProcessOptions(method)
    let error: ProcessError?
    switch host {
    case .child:
      let child = try ChildProcess(1, options: options) { (n: Int) async -> Int in
        await awaitsTheCrash(n)
      }
      error = await #expect(throws: ProcessError.self) { try await child.value }
    case .worker:
      error = try await withPool(method, workers: 1) { pool in
        await #expect(throws: ProcessError.self) {
          try await pool.run(1) { (n: Int) async -> Int in await awaitsTheCrash(n) }
        }
      }
    }
    let backtrace = try crashReport(of: error).backtrace ?? ""
    #expect(backtrace.contains("crashes(_:)"), "\(backtrace)")
    #expect(backtrace.contains("awaitsTheCrash(_:)"), "\(backtrace)")
    #expect(backtrace.contains("closure #"), "\(backtrace)")
  }

  @Test("a forked copy is recorded too")
  func forking() async throws {
    let child = try ChildProcess.forking { () -> Int in
      Fault.badAccess.perform()
      return 1
    }
    let report = try crashReport(
      of: await #expect(throws: ProcessError.self) { try await child.value })
    #expect(report.exitStatus == .signaled(Signal(rawValue: SIGSEGV), coreDumped: false))
    #expect(report.faultAddress == UInt(Fault.badAddress))
    #expect(report.backtrace?.contains("Fault.perform()") == true, "\(report.backtrace ?? "nil")")
  }

  @Test("memory that cannot be had is told apart", arguments: startMethods)
  func addressSpace(_ method: StartMethod) async throws {
    let limit = ResourceLimit(.addressSpace, soft: 2 << 30)
    let report = try await report(.child, method, GreedyTask(count: 1 << 40)) {
      $0.resourceLimits = [limit]
    }
    #expect(report.ranOutOfMemory, "\(report) \(report.standardErrorTail ?? "")")
  }

  @Test("a report is a value, whose texts can be replaced")
  func value() async throws {
    let original = try await report(.child, .forkServer, .badAccess)
    var copy = original
    #expect(copy == original)
    #expect(Set([copy, original]).count == 1)
    copy.message = "why"
    #expect(copy != original)
    #expect(copy.message == "why")
    #expect(copy.backtrace == original.backtrace)
    copy.backtrace = nil
    #expect(copy.backtrace == nil)
    #expect(original.message == nil)
    #expect(original.backtrace != nil)
  }

  @Test("every crash of a loop is reported in full", arguments: startMethods)
  func loop(_ method: StartMethod) async throws {
    let count = method == .spawn ? 40 : 400
    try await withPool(
      method, workers: 2,
      {
        $0.processOptions.standardError = .capture
        $0.restartLimit = .init(10_000, per: .seconds(1))
      }
    ) { pool in
      var backtraces: Set<String> = []
      for number in 0..<count {
        let report = try crashReport(
          of: await #expect(throws: ProcessError.self) {
            try await pool.run(number) { (_: Int) -> Void in Fault.badAccess.perform() }
          })
        #expect(report.faultAddress == UInt(Fault.badAddress))
        let backtrace = report.backtrace ?? ""
        #expect(backtrace.contains("Fault.perform()"))
        backtraces.insert(backtrace)
      }
      #expect(backtraces.count == count)  // Each has its own process number.
      #expect(pool.statistics.crashed == count)
    }
  }
}

@inline(never)
private func crashes(_ n: Int) async -> Int {
  await Task.yield()
  Fault.badAccess.perform()
  return n
}

@inline(never)
private func awaitsTheCrash(_ n: Int) async -> Int {
  let value = await crashes(n)
  return value + n
}

private struct GreedyTask: ProcessTask {
  var count: Int

  func run() -> Int { [UInt8](repeating: 1, count: count).reduce(0) { $0 &+ Int($1) } }
}
