@preconcurrency import Glibc
import Multiprocessing

func cube(_ n: Int) -> Int { n * n * n }
@MainActor func onMain(_ n: Int) async -> Int { MainActor.assertIsolated(); await Task.yield(); return n * 11 }
private struct Hidden: Codable, Sendable { var x: Int; var s: String }

@main
enum Scenarios {
  static func main() async throws {
    unsafe setlinebuf(unsafe stdout)
    print("main runs", CommandLine.arguments)
    if CommandLine.arguments.contains("pool") { return try await PoolScenarios.tour() }
    if CommandLine.arguments.contains("bench") { return try await PoolScenarios.bench() }
    for method in [StartMethod.forkServer, .spawn] {
      let options = ProcessOptions(startMethod: method)
      let c = ContinuousClock()
      let t0 = c.now
      let a = try ChildProcess(3, options: options) { $0 + 1 }
      print(method, try await a.value, await a.exitStatus, c.now - t0)
      print(try await ChildProcess(3, options: options, body: cube).value)
      print(try await ChildProcess(3, "x", options: options) { n, s in ("\(n)\(s)", n) }.value)
      print(try await ChildProcess([Hidden(x: 1, s: "a")], options: options) { [Hidden(x: $0[0].x + 1, s: "b")] }.value)
      print(try await ChildProcess(3, options: options) { (n: Int) async throws -> Int in try await Task.sleep(for: .milliseconds(5)); return n * 10 }.value)
      print(try await ChildProcess(3, options: options) { (n: Int) async -> Int in await Task.yield(); return await onMain(n) }.value)
      print(try await ChildProcess(4, options: options) { (n: Int) async -> Int in
        await withTaskGroup(of: Int.self) { g in
          for i in 0..<n { g.addTask { try? await Task.sleep(for: .milliseconds(5)); return i * i } }
          var t = 0
          for await v in g { t += v }
          return t
        }
      }.value)
      print(try await ChildProcess(options: options) { "\(getpid() != getppid()) \(CurrentProcess.parentProcessIdentifier!) \(CurrentProcess.name) \(CurrentProcess.affinity)" }.value, getpid())
      do { _ = try await ChildProcess(3, options: options) { (n: Int) -> Int in let a = [1]; return a[n] }.value } catch { print(error) }
      let t1 = c.now
      do { _ = try await ChildProcess(3, options: options) { (n: Int) -> Int in exit(0) }.value } catch { print(error, c.now - t1) }
      struct E: Error { var a = 1 }
      struct F: Error, Codable { var a = 2 }
      do { _ = try await ChildProcess(3, options: options) { (n: Int) -> Int in throw E() }.value } catch { print(error) }
      do { _ = try await ChildProcess(3, options: options) { (n: Int) -> Int in throw F() }.value } catch { print("F:", error) }
      let big = [Int](repeating: 1, count: 10_000_000)
      print(try await ChildProcess(big, options: options) { $0 + [2] }.value.count)
      let k = CommandLine.arguments.count
      do { _ = try ChildProcess(3, options: options) { $0 + k } } catch { print(error) }
      let f: @Sendable (Int) -> Int = { $0 * 7 }
      do { print(try await ChildProcess(3, options: options) { f($0) }.value) } catch { print(error) }
      do { _ = try ChildProcess(3, options: options) { f($0) + k } } catch { print(error) }
      do { print(try await ChildProcess<Int>("abc", options: options, body: \String.count).value) } catch { print(error) }
      let out = try ChildProcess(options: ProcessOptions(startMethod: method, standardOutput: .capture)) { print("hello from child"); print("second") }
      for try await line in out.standardOutput.lines { print("captured:", line) }
      let s = try ChildProcess(options: options) { while true { sleep(10) } }
      s.terminate()
      print(await s.exitStatus)
      let s2 = try ChildProcess(options: options) { () async -> Bool in while !Task.isCancelled { try? await Task.sleep(for: .milliseconds(1)) }; return true }
      s2.cancel()
      print("cancelled", try await s2.value)
      let s3 = try ChildProcess(options: options) { while !Task.isCancelled { usleep(100) }; return true }
      s3.cancel()
      print("cancelled", try await s3.value)
    }
    let k = 5
    print(try await ChildProcess.forking { k * 2 }.value)
    var times: [Duration] = []
    let c = ContinuousClock()
    for _ in 0..<20 { let t = c.now; _ = try await ChildProcess(3) { $0 + 1 }.value; times.append(c.now - t) }
    print(times.sorted()[10])
  }
}
