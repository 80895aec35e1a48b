// How long a crash takes: from SIGKILL of a busy worker to the error in the caller, and to the first result of the
// worker in its place; beside Python's ProcessPoolExecutor, measured in the same run where python3 is installed.

import Glibc
import Multiprocessing

enum Recovery {
  private static let rounds = 100

  static func measure() async throws {
    for method in [StartMethod.forkServer, .spawn] {
      var errors: [Double] = []
      var results: [Double] = []
      let pool = try ProcessPool(workers: 1, configuration: .init { $0.startMethod = method })
      for _ in 0..<rounds {
        let (error, result) = try await round(pool)
        errors.append(error)
        results.append(result)
      }
      await pool.drain()
      report("SIGKILL of a worker to the caller's error, \(method.rawValue)", errors)
      report("SIGKILL of a worker to its replacement's result, \(method.rawValue)", results)
    }
    Python.run(script, measuring: "Python's ProcessPoolExecutor")
  }

  private static func round(_ pool: ProcessPool) async throws -> (error: Double, result: Double) {
    let running = try SharedArray<Int32>(count: 1)
    let task = pool.submit(running) { (running: SharedArray<Int32>) -> Int in
      running[0] = getpid()
      while true { sleep(100) }
    }
    while running[0] == 0 { try await Task.sleep(for: .milliseconds(1)) }
    let clock = ContinuousClock()
    let start = clock.now
    kill(running[0], SIGKILL)
    guard case .failure(ProcessError.crashed) = await task.result else {
      preconditionFailure("the task did not crash")
    }
    let error = (clock.now - start) / .seconds(1)
    let one = try await pool.run { 1 }
    precondition(one == 1)
    return (error, (clock.now - start) / .seconds(1))
  }

  private static func report(_ name: String, _ times: [Double]) {
    let sorted = times.sorted()
    let (median, best) = (sorted[sorted.count / 2], sorted[0])
    print("\(name): median \(Int(median * 1e6)) us, best \(Int(best * 1e6)) us")
  }

  // MARK: - Python

  /// The same in Python, where a dead worker breaks the executor: the next result needs a new one.
  private static let script = """
    import os, signal, time
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    def main():
        errors, results = [], []
        executor = ProcessPoolExecutor(1)
        pid = executor.submit(os.getpid).result()
        for _ in range(20):
            future = executor.submit(time.sleep, 100)
            while not future.running(): pass
            time.sleep(0.01)
            start = time.perf_counter()
            os.kill(pid, signal.SIGKILL)
            try: future.result()
            except BrokenProcessPool: pass
            errors.append(time.perf_counter() - start)
            executor.shutdown()
            executor = ProcessPoolExecutor(1)
            pid = executor.submit(os.getpid).result()
            results.append(time.perf_counter() - start)
        for name, times in ("caller's error", errors), ("result of a new executor", results):
            times.sort()
            print(f"Python's ProcessPoolExecutor, SIGKILL of a worker to the {name}: "
                  f"median {times[10] * 1e6:.0f} us, best {times[0] * 1e6:.0f} us", flush=True)
    main()
    """
}
