// Machines as archives of their files and the values expected of them, or as values alone, from which a
// script renders the files.

import Foundation
import ProcessorTopology
import Synchronization
import SystemPackage
import Testing

struct RecordedMachine: Sendable, CustomTestStringConvertible {
  /// The JSON file with the expected values; the archive lies beside it, or there is none.
  var values: URL

  var testDescription: String {
    name
  }

  var name: String {
    values.deletingPathExtension().lastPathComponent
  }

  /// Those that come with the package.
  static let own = machines(in: here.appendingPathComponent("../Fixtures/vm"))

  /// Those that lie elsewhere.
  static let others = ["machines", "shapes"].flatMap {
    machines(in: folder.appendingPathComponent($0))
  }

  static let all = own + others

  private static let here = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
    .deletingLastPathComponent()

  private static let folder: URL = {
    if let path = ProcessInfo.processInfo.environment["MPROC_TOPOLOGIES"] {
      return URL(fileURLWithPath: path)
    }
    return here.appendingPathComponent("../../../../shared/topologies").standardizedFileURL
  }()

  private static func machines(in folder: URL) -> [RecordedMachine] {
    let files = try? FileManager.default.contentsOfDirectory(
      at: folder, includingPropertiesForKeys: nil)
    return (files ?? []).filter { $0.pathExtension == "json" }
      .sorted { $0.path < $1.path }.map { RecordedMachine(values: $0) }
  }

  /// What a right reader gives. A field named in `skip` is not compared.
  struct Expected: Decodable {
    struct Node: Decodable {
      var node: Int
      var cpus: [Int]
      var memoryBytes: Int?
      var localCpus: [Int]?
    }
    struct Distances: Decodable {
      var nodes: [Int]
      var matrix: [[Int]]
    }
    var name: String
    var possible: [Int]
    var online: [Int]
    var allowed: [Int]
    var allowedNodes: [Int]
    var packages: [[Int]]
    var dies: [[Int]]
    var cores: [[Int]]
    var l3: [[Int]]
    var l2: [[Int]]
    var numaNodes: [Node]
    var distances: Distances?
    var isolated: [Int]?
    var nohzFull: [Int]?
    /// Quota and period; no quota: null.
    var cpuMax: [Int?]?
    var skip: [String: String]
  }

  func expected() throws -> Expected {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(Expected.self, from: Data(contentsOf: values))
  }

  private static let cache = Mutex<[String: CPUTopology]>([:])

  /// Unpacks or renders the machine and reads it; once in each run of the tests.
  func topology() throws -> CPUTopology {
    if let known = Self.cache.withLock({ $0[name] }) { return known }
    let topology = try withFiles { try CPUTopology(root: $0) }
    Self.cache.withLock { $0[name] = topology }
    return topology
  }

  /// Calls `body` with the folder of the machine's files, unpacked or rendered.
  func withFiles<R>(_ body: (FilePath) throws -> R) throws -> R {
    try withTemporaryTree { root in
      let folder = try root.appending(expected().name)
      let archive = values.deletingPathExtension().appendingPathExtension("tar.gz")
      if FileManager.default.fileExists(atPath: archive.path) {
        try run("tar", "xzf", archive.path, "-C", root.string)
      } else {
        let script = Self.folder.appendingPathComponent("render-sysfs")
        try run("python3", script.path, values.path, folder.string)
      }
      return try body(folder)
    }
  }

  private func run(_ command: String...) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = command
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0)
  }
}
