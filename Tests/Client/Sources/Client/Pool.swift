// ProcessPool in all its forms.

import Multiprocessing

private struct Reading: Codable, Sendable, Equatable {
  var sensor: Int
  var value: Double
}

func usePool(_ configuration: ProcessPool.Configuration) async throws {
  try await withProcessPool(workers: 2, placement: .none, configuration: configuration) { pool in
    try await run(on: pool)
    try await map(on: pool)
    try await broadcast(on: pool)
    try await share(on: pool)
    try await crash(on: pool)
  }
}

private func run(on pool: ProcessPool) async throws {
  try expect(await pool.run(20) { $0 + 1 }, 21)
  try expect(await pool.run("a", 3) { String(repeating: $0, count: $1) }, "aaa")
  try expect(await pool.run(7, body: square), 49)
  try expect(await pool.run(7, body: squareLater), 49)
  let later = try await pool.run(6) { (number: Int) async throws -> Int in
    await Task.yield()
    return number * 7
  }
  try expect(later, 42)
  let (number, text) = try await pool.run(5) { ($0, "\($0)") }
  try expect(number, 5)
  try expect(text, "5")
  try await pool.run(1) { _ in }
  try expect(await pool.run(Scale(factor: 3, point: Point(x: 1, y: 2))), Point(x: 3, y: 6))
  let reading = Reading(sensor: 1, value: 0.5)
  try expect(await pool.run(reading) { Reading(sensor: $0.sensor, value: $0.value * 2) }.value, 1)
  let person = Person(name: "Ada", tags: ["numbers": [1, 2]])
  try expect(await pool.run(person) { $0 }, person)
  let thrown = await error { try await pool.run(1) { (_: Int) in throw Refusal(reason: "no") } }
  try expect(thrown as? Refusal, Refusal(reason: "no"))
}

private func map(on pool: ProcessPool) async throws {
  try expect(await pool.map(1...5) { $0 * $0 }, [1, 4, 9, 16, 25])
  try expect(await pool.map(Array(1...5), body: square), [1, 4, 9, 16, 25])
  try expect(await pool.map(["a", "b"]) { $0 + "!" }, ["a!", "b!"])
  try expect(await pool.map(1...3, body: squareLater), [1, 4, 9])
  try expect(await pool.map(zip(1...3, ["a", "b", "c"])) { "\($0)\($1)" }, ["1a", "2b", "3c"])
  try expect(await pool.map(["x", "y"].enumerated()) { "\($0)\($1)" }, ["0x", "1y"])
  let pairs = try await pool.map(1...2) { ($0, "\($0)") }
  try expect(pairs.map(\.0), [1, 2])
  try expect(pairs.map(\.1), ["1", "2"])
  let points = [Point(x: 1, y: 2), Point(x: 3, y: 4)]
  let scaled = try await pool.map(points.map { Scale(factor: 2, point: $0) })
  try expect(scaled, [Point(x: 2, y: 4), Point(x: 6, y: 8)])
  try await pool.forEach(1...3) { _ = $0 }
}

private func broadcast(on pool: ProcessPool) async throws {
  try await pool.warmUp()
  try expect(await pool.broadcast { CurrentProcess.workerIndex ?? -1 }, [0, 1])
  try expect(await pool.broadcast(3, 4) { $0 * $1 }, [12, 12])
}

/// A handle of shared memory travels; the workers write where the application reads.
private func share(on pool: ProcessPool) async throws {
  let array = try SharedArray<Int>(count: 8)
  try await pool.forEach(array.chunks(4).enumerated().map { ($0, $1) }) { number, chunk in
    for index in chunk.indices { chunk[index] = number }
  }
  try expect(Array(array), [0, 0, 1, 1, 2, 2, 3, 3])
}

private func crash(on pool: ProcessPool) async throws {
  let thrown = await error { _ = try await pool.run(7) { [10, 20, 30][$0] } }
  guard case ProcessError.crashed(let report)? = thrown else {
    throw Mismatch(text: "a body that traps: \(String(describing: thrown))")
  }
  guard case .signaled = report.exitStatus else {
    throw Mismatch(text: "a trap is a signal, not: \(report.exitStatus)")
  }
  try expect(await pool.run(1) { [10, 20, 30][$0] }, 20)
  try expect(pool.statistics.crashed, 1)
}
