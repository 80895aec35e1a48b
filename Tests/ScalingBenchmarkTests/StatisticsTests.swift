import Testing

@testable import ScalingBenchmark

@Suite struct StatisticsTests {
  @Test("quartiles of a sample are interpolated between its values")
  func quartiles() throws {
    let summary = try #require(Summary([4.0, 1, 3, 2]))
    #expect(summary.minimum == 1)
    #expect(summary.lowerQuartile == 1.75)
    #expect(summary.median == 2.5)
    #expect(summary.upperQuartile == 3.25)
    #expect(summary.maximum == 4)
  }

  @Test("one value is its own quartiles, and no value has none")
  func smallSamples() throws {
    let summary = try #require(Summary([7.0]))
    #expect([summary.minimum, summary.lowerQuartile, summary.median] == [7, 7, 7])
    #expect([summary.upperQuartile, summary.maximum] == [7, 7])
    #expect(Summary([]) == nil)
  }

  @Test(
    "the serial fraction follows Karp and Flatt",
    arguments: [(2.0, 2, 0.0), (1.6, 2, 0.25), (1.0, 2, 1.0), (2.5, 4, 0.2), (4.0, 2, -0.5)])
  func karpFlatt(speedup: Double, workers: Int, expected: Double) throws {
    let fraction = try #require(karpFlattSerialFraction(speedup: speedup, workers: workers))
    #expect(abs(fraction - expected) < 1e-12)
  }

  @Test("the serial fraction is not defined for one worker")
  func karpFlattOfOne() {
    #expect(karpFlattSerialFraction(speedup: 1, workers: 1) == nil)
    #expect(karpFlattSerialFraction(speedup: 0, workers: 2) == nil)
  }

  @Test("a fit recovers the parameters that the capacities were made with")
  func recovery() throws {
    let truth = UniversalScalabilityFit(sigma: 0.03, kappa: 0.0005)
    let points = [1, 2, 4, 8, 16, 32].map { workers in
      (workers: workers, capacity: truth.capacity(workers: Double(workers)))
    }
    let fit = try #require(UniversalScalabilityFit(points))
    #expect(abs(fit.sigma - 0.03) < 1e-10)
    #expect(abs(fit.kappa - 0.0005) < 1e-10)
    let peak = try #require(fit.peak)
    #expect(abs(peak - 44.045431) < 1e-5)
    #expect(fit.capacity(workers: peak) > fit.capacity(workers: peak - 1))
    #expect(fit.capacity(workers: peak) > fit.capacity(workers: peak + 1))
  }

  @Test("capacities better than linear give neither a negative parameter nor a peak")
  func superlinear() throws {
    let fit = try #require(
      UniversalScalabilityFit([(1, 1), (2, 2.1), (3, 3.3), (4, 4.6)]))
    #expect(fit.sigma == 0)
    #expect(fit.kappa == 0)
    #expect(fit.peak == nil)
  }

  @Test("Amdahl's law is fitted with contention alone")
  func amdahl() throws {
    let points = [(1, 1), (2, 2 / 1.1), (3, 3 / 1.2), (4, 4 / 1.3 + 0.003)]
    let fit = try #require(UniversalScalabilityFit(points))
    #expect(abs(fit.sigma - 0.1) < 0.002)
    #expect(fit.kappa == 0)
    #expect(fit.peak == nil)
  }

  @Test("fewer than four numbers of workers are not fitted, repeated ones count once")
  func tooFew() {
    #expect(UniversalScalabilityFit([(1, 1), (2, 1.9), (3, 2.7)]) == nil)
    #expect(UniversalScalabilityFit([(1, 1), (2, 1.9), (2, 1.9), (3, 2.7)]) == nil)
  }
}
