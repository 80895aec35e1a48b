import Glibc
import Multiprocessing

enum PoolScenarios {
  static func tour() async throws {
    let c = ContinuousClock()
    for method in [StartMethod.forkServer, .spawn] {
      let t0 = c.now
      let pool = try ProcessPool(workers: 2, configuration: .init { $0.startMethod = method })
      print(method, "started", c.now - t0)
      print(try await pool.run(20) { $0 + 1 }, c.now - t0)
      for w in pool.workers { print(w) }
      print(try await pool.run("a", 2) { s, n in String(repeating: s, count: n) })
      print(try await pool.run(3) { ($0, "x") })
      let squares = try await pool.map(0..<1000) { $0 * $0 }
      print(squares.count, squares[999])
      let strings = try await pool.map((0..<1000).map { "\($0)" }) { $0 + "!" }
      print(strings[999], strings.count)
      print(try await pool.map(zip(1...3, ["a", "b", "c"])) { n, s in "\(n)\(s)" })
      print(try await pool.map(["x", "y"].enumerated()) { n, s in "\(n)\(s)" })
      print(try await pool.map([1, 2, 3]) { (n: Int) async throws -> Int in try await Task.sleep(for: .milliseconds(1)); return n + 1 })
      try await pool.forEach([1, 2]) { n in _ = n }
      print(try await pool.map([Int]()) { $0 })
      let big = [UInt8](repeating: 7, count: 5_000_000)
      print(try await pool.run(big) { $0 + [1] }.count)
      print(try await pool.map([big, big, big]) { $0.count })
      print(pool.statistics)
      do { _ = try await pool.map(0..<100) { (n: Int) -> Int in let a = [1]; return n == 37 ? a[n] : n } } catch { print(error) }
      print(pool.statistics)
      let results = await withTaskGroup(of: (Int, Result<Int, any Error>).self) { group in
        for i in 0..<8 {
          group.addTask {
            do {
              return (i, .success(try await pool.run(i) { n in
                if n == 2 { kill(getpid(), SIGKILL) }
                return n * 10
              }))
            } catch { return (i, .failure(error)) }
          }
        }
        var all: [(Int, Result<Int, any Error>)] = []
        for await r in group { all.append(r) }
        return all.sorted { $0.0 < $1.0 }
      }
      for r in results { print(r) }
      print(pool.statistics)
      let t = Task { try await pool.run(1) { (n: Int) -> Int in while !Task.isCancelled { usleep(100) }; return n } }
      try await Task.sleep(for: .milliseconds(20))
      t.cancel()
      print(await t.result)
      let t1 = c.now
      do { _ = try await pool.run(1, timeout: .milliseconds(50)) { (n: Int) async throws -> Int in try await Task.sleep(for: .seconds(100)); return n } } catch { print(error, c.now - t1) }
      print(pool.statistics)
      await pool.drain()
      print(pool.statistics, pool.workers.map(\.state))
      do { _ = try await pool.run(1) { $0 } } catch { print(error) }
    }
  }

  static func bench() async throws {
    let c = ContinuousClock()
    let pool = try ProcessPool(workers: 1)
    for _ in 0..<5 {
      var best: [Double] = []
      for _ in 0..<50 {
        let t = try await c.measure { for i in 0..<1000 { let r = try await pool.run(i) { $0 &+ 1 }; precondition(r == i + 1) } }
        best.append(Double(t.components.attoseconds) / 1e9 / 1000)
      }
      best.sort()
      let n = 1_000_000
      let xs = Array(0..<n)
      let t = try await c.measure { _ = try await pool.map(xs) { $0 &+ 1 } }
      let p1 = pool
      _ = p1
      print("run p50 \(Int(best[25])) ns min \(Int(best[0])) ns; map auto \(Int(Double(n) * 1e12 / Double(t.components.attoseconds))) M/s")
    }
    let one = try ProcessPool(workers: 1, configuration: .init { $0.chunkSize = .fixed(1) })
    for _ in 0..<3 {
      let n = 300_000
      let xs = Array(0..<n)
      let t = try await c.measure { _ = try await one.map(xs) { $0 &+ 1 } }
      print("map chunk 1: \(Double(n) * 1e12 / (Double(t.components.attoseconds) + 1e18 * Double(t.components.seconds))) M/s")
    }
  }
}
