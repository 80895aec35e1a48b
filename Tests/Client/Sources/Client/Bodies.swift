// What is sent to workers besides closure literals: functions, types, a task, an error.

import Multiprocessing

func square(_ number: Int) -> Int { number * number }

func squareLater(_ number: Int) async throws -> Int {
  try await Task.sleep(for: .milliseconds(1))
  return number * number
}

struct Point: Codable, Sendable, Equatable {
  var x: Double
  var y: Double
}

/// Not plain bytes, so it travels through its `Codable` conformance.
struct Person: Codable, Sendable, Equatable {
  var name: String
  var tags: [String: [Int]]
}

/// State that travels with the body.
struct Scale: ProcessTask {
  var factor: Double
  var point: Point

  func run() async throws -> Point { Point(x: point.x * factor, y: point.y * factor) }
}

struct Refusal: Error, Codable, Equatable {
  var reason: String
}
