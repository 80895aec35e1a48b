// What the benchmark is about: worker processes of a pool, through nothing but the public
// interface.

internal import Multiprocessing

struct ProcessRunner: TrialRunner {
  private let pool: ProcessPool

  let workerCount: Int

  /// Starts the pool and waits until every worker has started.
  init(workers: Int, placement: Placement) async throws {
    pool = try ProcessPool(workers: workers, placement: placement)
    workerCount = workers
    do {
      try await pool.warmUp()
    } catch {
      await pool.shutdown()
      throw error
    }
  }

  func map<Task: KernelTask>(_ tasks: [Task]) async throws -> [Task.Output] {
    try await Task.map(tasks, on: pool)
  }

  func broadcast<Share: KernelShare>(_ share: Share) async throws {
    try await Share.broadcast(share, partCount: workerCount, on: pool)
  }

  func finish() async {
    await pool.drain()
  }
}
