// Children that outlive the application, and see its end. The test kills the application; what they print after
// that is what it looks at.

import Glibc
import Multiprocessing

enum Outlives {
  /// Prints one line when all of them run, then does not return.
  static func run() async throws {
    let ready = try SharedArray<Int32>(count: 3)
    for (index, method) in startMethods.enumerated() {
      let options = ProcessOptions(startMethod: method, outlivesParent: true)
      _ = try ChildProcess(method.rawValue, index, ready, options: options) {
        (method: String, index: Int, ready: SharedArray<Int32>) async throws -> Void in
        await noticeEnd(method, ready, index)
      }
    }
    let application = getpid()
    _ = try ChildProcess.forking(options: ProcessOptions(outlivesParent: true)) {
      ready[2] = getpid()
      // A synchronous body cannot await it.
      while getppid() == application { usleep(1_000) }
      print("fork: the parent has ended")
    }
    while !(0..<3).allSatisfy({ ready[$0] != 0 }) { try await Task.sleep(for: .milliseconds(1)) }
    print((0..<3).map { "\(ready[$0])" }.joined(separator: " "))
    fflush(nil)
    while true { try await Task.sleep(for: .seconds(1_000)) }
  }

  private static func noticeEnd(_ method: String, _ ready: SharedArray<Int32>, _ index: Int) async {
    // A waiting task that is cancelled stops waiting, and nothing else.
    let cancelled = Task { await CurrentProcess.parentExited() }
    cancelled.cancel()
    await cancelled.value
    require(
      CurrentProcess.parentProcessIdentifier.map { kill($0, 0) == 0 } == true,
      "\(method): the parent has ended too early")
    ready[index] = getpid()
    await CurrentProcess.parentExited()
    // Also when it has ended already.
    await CurrentProcess.parentExited()
    print("\(method): the parent has ended")
  }
}
