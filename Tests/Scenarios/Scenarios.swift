// What must be counted, or killed, from outside: one scenario for each subcommand. Each prints its verdict as
// its last line and exits with status 1 when something is wrong.
//
// The tests run this executable, and so does CI with a static Swift runtime. It does not use Foundation: what a
// program without it does at start is what is looked at.

import Glibc
import Multiprocessing

@main
enum Scenarios {
  static func main() async {
    let arguments = Array(CommandLine.arguments.dropFirst())
    do {
      if arguments.first == "storm" {
        guard arguments.count == 4, let tasks = Int(arguments[1]), let kills = Int(arguments[2]),
          let method = StartMethod(rawValue: arguments[3])
        else { usage() }
        return try await Storm.run(tasks: tasks, kills: kills, method: method)
      }
      if arguments.first == "lifecycle" { return await Lifecycle.run(arguments.dropFirst()) }
      switch (arguments.first, arguments.dropFirst().first) {
      case ("smoke", nil): try await Smoke.run()
      case ("side-effects", let path?): try await SideEffects.run(counting: path)
      case ("stopped", nil): try await Stopped.run()
      case ("progress", nil): try await Observed.showProgress()
      case ("trace", let path?): try await Observed.trace(to: path)
      case ("leaks", let count?): try await Leaks.run(pools: Int(count) ?? 40)
      case ("hold", let phase?):
        guard let phase = Hold.Phase(rawValue: phase) else { usage() }
        try await Hold.run(phase)
      case ("standard-error", let which?):
        guard let which = StandardError.Case(rawValue: which) else { usage() }
        try await StandardError.run(which)
      case ("out-of-memory", let folder?): try await OutOfMemory.run(in: folder)
      case ("inherits", let path?): try await Inherits.run(writingTo: path)
      case ("crowd", let count?): try await Crowd.run(children: Int(count) ?? 1_000)
      case ("reaps", let way?):
        guard let way = ReapsChildren.Way(rawValue: way) else { usage() }
        try await ReapsChildren.run(way)
      case ("forwarding", let method?):
        guard let method = StartMethod(rawValue: method) else { usage() }
        try await Forwarding.run(method)
      case ("crash-loop", let count?): try await CrashLoop.run(crashes: Int(count) ?? 1_000)
      case ("pins", let usable): try await Pins.run(expecting: usable.flatMap { Int($0) })
      case ("numa", nil): try await NUMAMemory.run()
      case ("outlives", nil): try await Outlives.run()
      case ("fork-hammer", let count?): try await ForkHammer.run(forks: Int(count) ?? 300)
      default: usage()
      }
    } catch {
      fail("\(error)")
    }
  }

  static func usage() -> Never {
    let phases = Hold.Phase.allCases.map(\.rawValue).joined(separator: "|")
    let cases = StandardError.Case.allCases.map(\.rawValue).joined(separator: "|")
    let ways = ReapsChildren.Way.allCases.map(\.rawValue).joined(separator: "|")
    fail(
      "usage: Scenarios smoke | stopped | progress | trace FILE | side-effects FILE | leaks POOLS"
        + " | hold \(phases) | storm TASKS KILLS METHOD | standard-error \(cases) | out-of-memory CGROUP"
        + " | lifecycle METHOD [DESCRIPTORS MAPPINGS] | inherits FILE | crowd CHILDREN | reaps \(ways) | outlives | fork-hammer FORKS"
        + " | forwarding METHOD | pins [USABLE] | numa | crash-loop COUNT"
    )
  }
}

/// The start methods of workers.
let startMethods: [StartMethod] = [.forkServer, .spawn]

/// Brings up as many threads of Swift's pool as there will ever be.
func startPoolThreads() async {
  await withTaskGroup(of: Void.self) { group in
    for _ in 0..<64 { group.addTask { usleep(2_000) } }
  }
}

func fail(_ message: String) -> Never {
  print(message)
  exit(1)
}

/// Ends this process when the condition does not hold, also in a release build.
func require(_ condition: Bool, _ message: @autoclosure () -> String) {
  if !condition { fail(message()) }
}
