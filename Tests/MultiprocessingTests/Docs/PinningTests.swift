// The examples of docs/Pinning.md, run. `SnippetTests` sees to it that they are the same.

import Multiprocessing
import Testing

@Suite("Examples of the page about pinning", .serialized, .timeLimit(.minutes(2)))
struct PinningTests {
  private let machine = CPUTopology.current

  @Test("the machine")
  func topology() {
    let machine = CPUTopology.current
    for node in machine.numaNodes {
      print(node.id, node.cpus, node.memoryByteCount, node.distances)
    }
    let usable = machine.allowed.subtracting(machine.isolated)
    let fast = machine.cores.filter { $0.kind != .efficiency }
    #expect(!usable.isEmpty && !fast.isEmpty)
  }

  @Test("two choices")
  func placements() throws {
    // One worker for each level 3 cache, free to move inside it.
    let caches = Placement(.perL3, binding: .l3)

    // As close together as possible, hardware threads as places in their own right.
    let close = Placement(.compact, binding: .thread, sharingCores: true)

    // What the machine gives, and no error where that is less.
    let modest = Placement(.spread, bestEffort: true)

    // By hand: one set for each worker.
    let byHand = Placement.explicit(["0-3", "4-7"])

    for placement in [caches, close, modest] {
      #expect(try placement.plan(workers: 1, on: machine).count == 1)
    }
    #expect(byHand == .explicit([[0, 1, 2, 3], [4, 5, 6, 7]]))
  }

  @Test("a plan")
  func plan() throws {
    let plan = try Placement(.spread).plan(workers: 2, on: machine)
    print(plan)
    #expect(plan.count == 2 && plan.allSatisfy { $0.isSubset(of: machine.allowed) })
  }

  @Test("a pin is read back")
  func report() async throws {
    try await withProcessPool(workers: 1, placement: .spread) { pool in
      for worker in pool.workers {
        print(worker.id, worker.requestedCPUs ?? [], worker.verifiedCPUs ?? [])
        #expect(worker.requestedCPUs == worker.verifiedCPUs)
      }
    }
  }

  @Test("memory")
  func memory() async throws {
    // 8 MB on node 0, whoever touches them first.
    let table = try SharedArray<Double>(count: 1_000_000, node: 0)

    // All memory of the workers from node 0, or none.
    let configuration = ProcessPool.Configuration {
      $0.processOptions.memoryPolicy = .bind([0])
    }

    #expect(table.count == 1_000_000)
    try await withProcessPool(workers: 1, configuration: configuration) { pool async throws in
      #expect(try await pool.run(1) { $0 + 1 } == 2)
    }
  }
}
