// A file for results, opened before the benchmark starts: that it cannot be written is better
// learnt then than after an hour. What it held is kept until there is something to replace it with.

import ArgumentParser
import SystemPackage

struct OutputFile {
  private let path: String
  private let option: String
  private let descriptor: FileDescriptor

  /// - Throws: `ValidationError`, naming the option, where the file cannot be opened for writing.
  init(_ path: String, option: String) throws {
    self.path = path
    self.option = option
    do {
      descriptor = try FileDescriptor.open(
        FilePath(path), .writeOnly, options: [.create, .closeOnExec],
        permissions: [.ownerReadWrite, .groupRead, .otherRead])
    } catch {
      throw ValidationError(
        "\(option): '\(path)' cannot be written: \(error); name a file in a folder that exists and "
          + "that you may write to")
    }
  }

  /// Replaces what the file holds, and closes it.
  func write(_ text: String) throws {
    // A device or a pipe has no size to change.
    do { try descriptor.resize(to: 0) } catch Errno.invalidArgument {}
    try descriptor.writeAll(text.utf8)
    try descriptor.close()
  }
}
