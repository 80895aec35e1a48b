// The round trip of a cache line between two CPUs: the physical limit of every exchange between processes.

import Glibc
import Multiprocessing
import Synchronization

private final class Line: Sendable {
  let ping = Atomic<Int>(0)
  private let padding:
    (Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int) = (
      0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
    )
  let pong = Atomic<Int>(0)
  let cpu: Int
  static let rounds = 500

  init(cpu: Int) { self.cpu = cpu }
}

/// Seconds for one round trip between the first two usable CPUs; the best of some batches.
func probe() -> Double {
  let cpus = Array(CPUTopology.current.allowed).prefix(2)
  guard cpus.count == 2 else { return .nan }
  let line = Line(cpu: cpus[1])
  var thread = pthread_t()
  let context = Unmanaged.passRetained(line)
  pthread_create(
    &thread, nil,
    { context in
      let line = Unmanaged<Line>.fromOpaque(context!).takeRetainedValue()
      try? withCPUAffinity([line.cpu]) {
        for round in 1...(Line.rounds * 10) {
          while line.ping.load(ordering: .acquiring) != round {}
          line.pong.store(round, ordering: .releasing)
        }
      }
      return nil
    }, context.toOpaque())
  var best = Double.infinity
  try? withCPUAffinity([cpus[0]]) {
    let clock = ContinuousClock()
    for batch in 0..<10 {
      let start = clock.now
      for round in 1...Line.rounds {
        line.ping.store(batch * Line.rounds + round, ordering: .releasing)
        while line.pong.load(ordering: .acquiring) != batch * Line.rounds + round {}
      }
      best = min(best, (clock.now - start) / .seconds(1) / Double(Line.rounds))
    }
  }
  pthread_join(thread, nil)
  return best
}
