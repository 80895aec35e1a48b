// One line on standard error that says what runs, where someone may be watching: nothing is written
// when it is not a terminal.

import Glibc
import ScalingBenchmark
import SystemPackage

struct ProgressLine {
  private let isShown = isatty(STDERR_FILENO) == 1

  func show(_ progress: ScalingBenchmark.Progress) {
    write("[\(progress.completedTrials + 1)/\(progress.trialCount)] \(progress.nextTrial)")
  }

  func clear() {
    write("")
  }

  /// Overwrites the line. That a terminal went away is no reason to stop.
  private func write(_ text: String) {
    guard isShown else { return }
    _ = try? FileDescriptor.standardError.writeAll("\r\u{1B}[K\(text)".utf8)
  }
}
