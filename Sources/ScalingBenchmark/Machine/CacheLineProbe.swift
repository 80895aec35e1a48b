// How far apart two CPUs are: the time a cache line takes there and back. On a virtual machine the
// host moves the CPUs, and this time changes severalfold between and within runs, so a report that
// compares CPUs has to say it.

public import ProcessorTopology
internal import Synchronization

/// The round trip of a cache line between two CPUs.
public struct CacheLineProbe: Sendable, Hashable {
  public var cpus: [Int]
  /// The median of short batches, in nanoseconds.
  public var nanoseconds: Double

  /// Whether the CPUs are near each other, that is, in one core complex.
  public var isNear: Bool { nanoseconds <= Self.farNanoseconds }

  /// Between the levels of current processors: about 110 ns within a core complex and 490 ns
  /// between two.
  static let farNanoseconds = 250.0

  /// How long a measurement may take: one of the CPUs may be busy with something else.
  public static let timeLimit = Duration.milliseconds(200)

  static let batchCount = 100
  static let roundTripsPerBatch = 40

  /// Measures between the first two CPUs that the process may use; nil with one, and where the
  /// threads cannot be bound or not one batch was finished in time.
  public static func measure(on topology: CPUTopology) -> CacheLineProbe? {
    let cpus = Array(topology.allowed.intersection(topology.online).prefix(2))
    guard cpus.count == 2 else { return nil }
    let exchange = LineExchange()
    let follower = try? JoinableThread {
      // Where binding fails the leader must not wait for an answer.
      do { try CPUAffinity.set([cpus[1]]) } catch { return exchange.stop() }
      exchange.follow()
    }
    guard let follower else { return nil }
    let batches = try? withCPUAffinity([cpus[0]]) { exchange.lead() }
    exchange.stop()
    follower.join()
    guard let batches else { return nil }
    return Summary(batches).map { CacheLineProbe(cpus: cpus, nanoseconds: $0.median) }
  }
}

/// Two cache lines, each written by one side and read by the other.
private final class LineExchange: Sendable {
  /// Written by the leader with release, read by the follower with acquire; and the reverse.
  private let request = PaddedCounter()
  private let reply = PaddedCounter()
  private let isStopped = Atomic<Bool>(false)

  /// Nanoseconds a round trip in each batch that was finished before the time limit.
  func lead() -> [Double] {
    let deadline = ContinuousClock.now + CacheLineProbe.timeLimit
    var batches: [Double] = []
    var count = 0
    while batches.count < CacheLineProbe.batchCount, ContinuousClock.now < deadline {
      let start = ContinuousClock.now
      for _ in 0..<CacheLineProbe.roundTripsPerBatch {
        count += 1
        request.value.store(count, ordering: .releasing)
        while reply.value.load(ordering: .acquiring) != count {
          if isStopped.load(ordering: .relaxed) { return [] }
        }
      }
      let elapsed = (ContinuousClock.now - start) / .nanoseconds(1)
      batches.append(elapsed / Double(CacheLineProbe.roundTripsPerBatch))
    }
    return batches
  }

  /// Answers until stopped.
  func follow() {
    var count = 0
    while !isStopped.load(ordering: .relaxed) {
      let seen = request.value.load(ordering: .acquiring)
      if seen == count { continue }
      count = seen
      reply.value.store(seen, ordering: .releasing)
    }
  }

  func stop() {
    isStopped.store(true, ordering: .relaxed)
  }
}

/// A counter with cache lines to itself: the padding is larger than two lines, so neither what lies
/// before the object nor what lies behind it shares the counter's line or its neighbour.
private final class PaddedCounter: Sendable {
  private let before = InlineArray<32, UInt64>(repeating: 0)
  let value = Atomic<Int>(0)
  private let after = InlineArray<32, UInt64>(repeating: 0)
}
