// An end with a message and an exit status of its own.

internal import ArgumentParser
internal import Glibc

struct Failure: Error, CustomStringConvertible {
  var description: String
  var status: Int32

  init(_ description: String, status: Int32) {
    self.description = description
    self.status = status
  }
}

/// A line on standard error, with the command's name before it.
func complain(_ text: String) {
  let line = Array("mproc: \(text)\n".utf8)
  // There is nobody to tell that standard error is closed.
  _ = unsafe line.withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
}
