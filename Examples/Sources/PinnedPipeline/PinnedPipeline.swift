// A pipeline of two stages, each with CPUs of its own: one pool makes frames, the other measures them. Frames lie in
// shared memory, on the NUMA node of the stage that reads them, so that none is copied and none is far.

import Multiprocessing

@main
enum PinnedPipeline {
  typealias Frame = SharedArray<UInt8>

  static let frameCount = 64
  static let pixels = 1_024 * 768

  static func main() async throws {
    let (makers, meters) = stages(of: .current)
    print("frames are made on CPUs \(makers), measured on CPUs \(meters)")
    try await withProcessPool(workers: makers.count, placement: .explicit(makers)) { making in
      try await withProcessPool(workers: meters.count, placement: .explicit(meters)) { measuring in
        report("maker", making)
        report("meter", measuring)
        let sums = try await run(making, measuring, node: node(of: meters))
        print("\(sums.count) frames, the sum of their pixels: \(sums.reduce(0, +))")
      }
    }
  }

  /// The usable cores in two halves that are each as close together as they can be: the cores of a topology come in
  /// the order of package, node and cache.
  static func stages(of topology: CPUTopology) -> (makers: [CPUSet], meters: [CPUSet]) {
    let usable = topology.allowed.subtracting(topology.isolated)
    let cores = topology.cores.map { $0.cpus.intersection(usable) }.filter { !$0.isEmpty }
    guard cores.count > 1 else { return (cores, cores) }
    return (Array(cores[..<(cores.count / 2)]), Array(cores[(cores.count / 2)...]))
  }

  /// The node that all of them are in; nil when there are several, or nothing to choose from.
  static func node(of sets: [CPUSet]) -> Int? {
    let all = sets.reduce(CPUSet()) { $0.union($1) }
    return CPUTopology.current.numaNodes.first {
      $0.memoryByteCount > 0 && all.isSubset(of: $0.cpus)
    }?.id
  }

  static func report(_ stage: String, _ pool: ProcessPool) {
    for worker in pool.workers {
      print("\(stage) \(worker.id): CPUs \(worker.verifiedCPUs.map { "\($0)" } ?? "any")")
    }
  }

  /// Each lane has one frame, which goes through both stages again and again: so many frames are under way at most,
  /// and a stage that is slower than the other holds it up.
  static func run(
    _ making: ProcessPool, _ measuring: ProcessPool, node: Int?
  ) async throws -> [Int] {
    let lanes = 2 * (making.workers.count + measuring.workers.count)
    return try await withThrowingTaskGroup(of: [Int].self) { group in
      for lane in 0..<min(lanes, frameCount) {
        let frame = try Frame(count: pixels, node: node)
        group.addTask {
          var sums: [Int] = []
          for number in stride(from: lane, to: frameCount, by: lanes) {
            try await making.run(frame, number) { (frame: Frame, number: Int) in
              frame.withMutableSpan { span in
                for pixel in span.indices {
                  span[pixel] = UInt8(truncatingIfNeeded: pixel &* number)
                }
              }
            }
            sums.append(
              try await measuring.run(frame) { (frame: Frame) in
                frame.withSpan { span in
                  var sum = 0
                  for pixel in span.indices { sum += Int(span[pixel]) }
                  return sum
                }
              })
          }
          return sums
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
  }
}
