// What holds where a container's profile refuses system calls that the library needs. Tests/Faults/refused runs
// these tests in such a profile and names it in the environment; elsewhere there is nothing to see.

import Foundation
import Glibc
import Multiprocessing
import Testing

private let refused = ProcessInfo.processInfo.environment["MPROC_TEST_REFUSED"]

@Suite("Where system calls are refused", .timeLimit(.minutes(1)))
struct RefusedCallTests {
  @Test(
    "without pidfds nothing starts, and the error names the call",
    .enabled(if: refused?.hasPrefix("pidfd") == true, "pidfds are granted here"))
  func pidfds() async throws {
    let call = try #require(refused)
    for method in startMethods {
      expectRefusal(of: call) { _ = try ChildProcess(options: .init(method)) { 1 } }
      expectRefusal(of: call) {
        _ = try ProcessPool(workers: 2, configuration: .init { $0.startMethod = method })
      }
    }
    expectRefusal(of: call) { _ = try ChildProcess.forking { 1 } }
    // What needs no process works.
    try await withPool(.forkServer, { $0.execution = .inProcess }) { pool async throws in
      #expect(try await pool.run(2) { $0 + 1 } == 3)
    }
    #expect(try SharedArray([1, 2])[1] == 2)
  }

  private func expectRefusal(of call: String, _ body: () throws -> Void) {
    let error = #expect(throws: ProcessError.self) { try body() }
    guard case .startFailed(let errno, let operation)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(operation.hasPrefix(call + ","), "\(operation)")
    #expect([ENOSYS, EPERM].contains(errno.rawValue))
  }

  @Test(
    "without memfds shared memory lies in files without a name",
    .enabled(if: refused == "memfd_create", "memfds are granted here"))
  func memfds() throws {
    let array = try SharedArray([1, 2, 3])
    #expect(array[2] == 3)
    let mappings = try String(contentsOfFile: "/proc/self/maps", encoding: .utf8)
    #expect(mappings.contains("/dev/shm/#") && !mappings.contains("/memfd:"))
    let size = 1 << 50
    let error = #expect(throws: ProcessError.self) { try SharedMemory(byteCount: size) }
    guard case .startFailed? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }
}
