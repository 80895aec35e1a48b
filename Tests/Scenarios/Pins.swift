// Workers bound to CPUs on whatever machine this is, read back from the kernel. Tests/NUMA runs this in machines that
// are made up.

import Glibc
import Multiprocessing

enum Pins {
  private static let distributions: [Placement.Distribution] = [
    .compact, .spread, .perCore, .perL3, .perNUMANode, .perPackage,
  ]
  private static let bindings: [Placement.Binding] = [.thread, .core, .l3, .numaNode, .package]

  /// - Parameter usable: How many CPUs affinity, cpuset and quota leave; nil: not known.
  static func run(expecting usable: Int?) async throws {
    if let usable {
      require(
        CPUTopology.usableCPUCount == usable,
        "\(CPUTopology.usableCPUCount) CPUs are usable, not \(usable)")
    }
    let topology = CPUTopology.current
    var pins = 0
    for distribution in distributions {
      for binding in bindings {
        pins += try await check(Placement(distribution, binding: binding), topology)
      }
    }
    pins += try await check(.automatic, topology)
    for cpu in topology.allowed.subtracting(topology.isolated) {
      pins += try await check(.explicit([[cpu]]), topology, workers: 1)
    }
    refused(topology)
    print("pins passed: \(pins) pins read back, \(CPUTopology.usableCPUCount) CPUs usable")
  }

  /// The number of workers whose CPUs are those of the plan.
  private static func check(
    _ placement: Placement, _ topology: CPUTopology, workers: Int? = nil
  ) async throws -> Int {
    let workers = workers ?? min(4, topology.allowed.subtracting(topology.isolated).count)
    let plan = try placement.plan(workers: workers, on: topology)
    return try await withProcessPool(workers: workers, placement: placement) { pool in
      let bound = pool.workers.map(\.verifiedCPUs)
      require(pool.workers.map { $0.requestedCPUs ?? [] } == plan, "\(placement): not as planned")
      for (cpus, wanted) in zip(bound, plan) where !wanted.isEmpty {
        require(cpus == wanted, "\(placement): planned \(wanted), the kernel says \(cpus as Any)")
      }
      // As the workers themselves see it, and the threads that they start.
      let threads = try await pool.broadcast { () async -> CPUSet in
        await Task.detached { CPUAffinity.current }.value
      }
      for (cpus, wanted) in zip(threads, plan) where !wanted.isEmpty {
        require(cpus == wanted, "\(placement): planned \(wanted), a thread runs on \(cpus)")
      }
      let own = try await pool.broadcast { CPUAffinity.current }
      for (cpus, wanted) in zip(own, plan) where !wanted.isEmpty {
        require(cpus == wanted, "\(placement): planned \(wanted), a worker runs on \(cpus)")
      }
      return plan.count { !$0.isEmpty }
    }
  }

  /// CPUs on which nothing can run: the error names them and says why.
  private static func refused(_ topology: CPUTopology) {
    refuse((topology.cpus.last?.id ?? 0) + 1, "no such CPU")
    for cpu in topology.cpus where !cpu.isOnline { refuse(cpu.id, "offline") }
    for cpu in topology.online.subtracting(topology.allowed) { refuse(cpu, "forbids") }
  }

  private static func refuse(_ cpu: Int, _ reason: String) {
    do {
      _ = try ProcessPool(workers: 1, placement: .explicit([[cpu]]))
      fail("a worker is bound to CPU \(cpu)")
    } catch .invalidConfiguration(let text) {
      require(
        text.contains("CPU \(cpu)") && text.contains(reason),
        "the error does not name CPU \(cpu) and \"\(reason)\": \(text)")
    } catch {
      fail("a worker bound to CPU \(cpu): \(error)")
    }
  }
}
