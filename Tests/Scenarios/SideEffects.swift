// Shows that a worker never runs `main`: what `main` does is counted in a file and on standard output, which the
// children inherit.

import Glibc
import Multiprocessing

enum SideEffects {
  /// - Parameter path: Gets one line for each process that comes here.
  static func run(counting path: String) async throws {
    let file = unsafe open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
    require(file >= 0, "\(path) cannot be opened")
    let line = "main ran\n"
    require(
      unsafe write(file, line, line.utf8.count) == line.utf8.count, "\(path) cannot be written")
    close(file)
    print("main ran")
    for method in startMethods {
      let isWorker = try await ChildProcess(options: ProcessOptions(startMethod: method)) {
        CurrentProcess.isWorker
      }.value
      require(isWorker, "\(method): the child does not know that it is one")
      let pool = try ProcessPool(workers: 2, configuration: .init { $0.startMethod = method })
      let parents = try await pool.broadcast { CurrentProcess.parentProcessIdentifier ?? 0 }
      require(parents == [getpid(), getpid()], "\(method): the workers' parents are \(parents)")
      await pool.drain()
    }
    require(!CurrentProcess.isWorker, "the application takes itself for a worker")
    print("side-effects passed")
  }
}
