// A folder with files that a test writes, removed afterwards. In /dev/shm where there is one: trees
// of thousands of small files are slow on disks.

import Foundation
import ProcessorTopology
import SystemPackage

/// Runs `body` with a folder that contains the files, given by path and text.
func withTemporaryTree<R>(
  _ files: [String: String] = [:], _ body: (FilePath) throws -> R
) throws -> R {
  let manager = FileManager.default
  let shared = "/dev/shm"
  let parent =
    manager.isWritableFile(atPath: shared)
    ? URL(fileURLWithPath: shared) : manager.temporaryDirectory
  let folder = parent.appendingPathComponent("mproc-test-\(UUID().uuidString)")
  try manager.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? manager.removeItem(at: folder) }
  for (name, text) in files {
    let file = folder.appendingPathComponent(name)
    try manager.createDirectory(
      at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: file)
  }
  return try body(FilePath(folder.path))
}

extension CPUTopology {
  /// The topology that these files, given by path and text, show.
  init(files: [String: String]) throws {
    self = try withTemporaryTree(files) { try CPUTopology(root: $0) }
  }
}
