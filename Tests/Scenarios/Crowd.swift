// Shows that a child holds only its own descriptors, however many siblings are alive.

import Glibc
import Multiprocessing

enum Crowd {
  static func run(children count: Int) async throws {
    raiseLimit()
    let alone = try await descriptors(.forkServer)
    let spawned = try await descriptors(.spawn)
    require(alone == spawned, "forked \(alone), spawned \(spawned)")
    var siblings: [ChildProcess<Int>] = []
    for number in 0..<count {
      // Some of them with streams and shared memory of their own.
      let options = ProcessOptions(
        startMethod: number % 50 == 49 ? .spawn : .forkServer,
        standardOutput: number % 10 == 0 ? .capture : .inherit)
      let shared = try SharedArray<Int>([number])
      siblings.append(
        try ChildProcess(shared, options: options) {
          (shared: SharedArray<Int>) async throws -> Int in
          try await Task.sleep(for: .seconds(1_000))
          return shared[0]
        })
    }
    for method in startMethods {
      let among = try await descriptors(method)
      require(among == alone, "\(method): alone \(alone), among \(count) siblings \(among)")
    }
    require(siblings.allSatisfy(\.isRunning), "a sibling has ended")
    for sibling in siblings { sibling.kill() }
    for sibling in siblings {
      let status = await sibling.exitStatus
      require(status == .signaled(.kill, coreDumped: false), "a sibling \(status)")
    }
    print("crowd passed: \(alone)")
  }

  /// What a child holds, without the numbers of sockets and pipes.
  private static func descriptors(_ method: StartMethod) async throws -> [String] {
    let options = ProcessOptions(startMethod: method, standardOutput: .discard)
    return try await ChildProcess(options: options) { Holdings.now().descriptors }.value
  }

  private static func raiseLimit() {
    var limit = rlimit()
    unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = limit.rlim_max
    unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}
