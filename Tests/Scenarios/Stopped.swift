// An application that somebody stops, as a debugger does, while a task with a deadline runs.

import Glibc
import Multiprocessing

enum Stopped {
  /// Prints when the task runs. The task takes 5 s, its deadline is 3 s: the 4 s for which this process is then
  /// stopped, and not the worker, must not count.
  static func run() async throws {
    try await withProcessPool(workers: 1) { pool in
      let running = try SharedArray<Int32>(count: 1)
      let task = pool.submit(running, timeout: .seconds(3)) {
        (running: SharedArray<Int32>) -> Int in
        running[0] = 1
        sleep(5)
        return 7
      }
      while running[0] == 0 { try await Task.sleep(for: .milliseconds(1)) }
      print("running")
      fflush(nil)
      require(try await task.value == 7, "another result")
    }
    print("stopped passed")
  }
}
