// What the tests of processes and pools share: the start methods, and pools made in one line.

import Foundation
import Multiprocessing
import Testing

/// The system call that the container's profile around the tests refuses: Tests/Faults/refused sets it.
let refusedCall = ProcessInfo.processInfo.environment["MPROC_TEST_REFUSED"]

/// Without pidfds processes are spawned in place of being forked by a server.
let hasForkServer = refusedCall?.hasPrefix("pidfd") != true

/// Why a test of the server is left out.
let noForkServer: Comment = "pidfds are refused here, so there is no fork server"

/// The start methods whose bodies travel by name. What holds for one of them must hold for both.
let startMethods: [StartMethod] = hasForkServer ? [.forkServer, .spawn] : [.spawn]

extension ProcessOptions {
  init(_ method: StartMethod, _ configure: (inout ProcessOptions) -> Void = { _ in }) {
    self.init(startMethod: method)
    configure(&self)
  }
}

/// Runs `body` with a pool, which is drained, or shut down when an error leaves it.
func withPool<R>(
  _ method: StartMethod = .forkServer, workers: Int = 2, placement: Placement = .automatic,
  _ configure: (inout ProcessPool.Configuration) -> Void = { _ in },
  body: (ProcessPool) async throws -> R
) async throws -> R {
  var configuration = ProcessPool.Configuration()
  configuration.startMethod = method
  configure(&configuration)
  return try await withProcessPool(
    workers: workers, placement: placement, configuration: configuration, body)
}

extension ProcessPool.Statistics {
  var addsUp: Bool { submitted == succeeded + failed + cancelled + crashed + pending }

  /// Nothing was ever submitted.
  var isUntouched: Bool { submitted == 0 && addsUp && restarts == 0 }
}
