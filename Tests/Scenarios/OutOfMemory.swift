// A worker that the kernel ends for want of memory is told from one that somebody kills.

import Glibc
import Multiprocessing

enum OutOfMemory {
  /// In a cgroup that allows little memory.
  static func run(in folder: String) async throws {
    let file = unsafe open(folder + "/cgroup.procs", O_WRONLY | O_CLOEXEC)
    let written = unsafe write(file, "0", 1)
    require(written == 1, "cannot enter \(folder)")
    close(file)
    for method in startMethods {
      let pool = try ProcessPool(workers: 1, configuration: .init { $0.startMethod = method })
      // The counter's file is looked for in the background.
      try await Task.sleep(for: .milliseconds(100))
      for _ in 0..<2 {
        try await expect(pool, isOutOfMemory: false) { () -> Int in
          kill(getpid(), SIGKILL)
          return 0
        }
        try await expect(pool, isOutOfMemory: true) { () -> Int in
          var sum = 0
          while true {
            let bytes = UnsafeMutableRawPointer.allocate(
              byteCount: 1 << 20, alignment: 4_096)
            unsafe memset(bytes, 1, 1 << 20)
            unsafe sum += Int(bytes.load(as: UInt8.self))
          }
          return sum
        }
      }
      await pool.drain()
    }
    print("out-of-memory passed")
  }

  private static func expect(
    _ pool: ProcessPool, isOutOfMemory: Bool, _ body: @escaping @Sendable () -> Int
  ) async throws {
    do {
      _ = try await pool.run(body: body)
      fail("a body that is killed has a result")
    } catch ProcessError.crashed(let report) {
      require(
        report.exitStatus == .signaled(.kill, coreDumped: false)
          && report.ranOutOfMemory == isOutOfMemory
          && "\(report)".contains("out of memory") == isOutOfMemory, "the report is \(report)")
    }
  }
}
