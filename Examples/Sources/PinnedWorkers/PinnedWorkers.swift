// Workers bound to CPUs: one for each core, as far apart as the machine allows. Prints what each was
// bound to, and what the kernel made of it.

import Multiprocessing

@main
enum PinnedWorkers {
  static func main() async throws {
    let topology = CPUTopology.current
    let cores = topology.cores.filter { !$0.cpus.isDisjoint(with: topology.allowed) }
    let workers = max(1, min(cores.count, CPUTopology.usableCPUCount))
    print(
      "\(cores.count) usable cores in \(topology.numaNodes.count) NUMA nodes, \(workers) workers")

    try await withProcessPool(workers: workers, placement: .spread) { pool in
      for worker in pool.workers {
        let requested = worker.requestedCPUs.map { "\($0)" } ?? "any"
        let verified = worker.verifiedCPUs.map { "\($0)" } ?? "unknown"
        print(
          "worker \(worker.id), process \(worker.processIdentifier):",
          "asked for CPU \(requested), got \(verified)")
      }

      // The same, asked from within, once on every worker.
      let sets = try await pool.broadcast { CurrentProcess.affinity }
      print("seen by the bodies: \(sets)")
    }
  }
}
