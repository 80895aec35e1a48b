// The ways in which a body can end its process.

import Foundation
import Multiprocessing
import Testing

enum Crash: String, Codable, Sendable, CaseIterable {
  case indexOutOfRange, nilUnwrapped, overflow, fatalError, exitZero, exitThree, killed

  /// Ends the calling process.
  func perform() -> Never {
    // From a value that is not known at compile time, into one that is used: no build drops it.
    let zero = unsafe getenv("MPROC_IS_NEVER_SET") == nil ? 0 : 1
    var value = 0
    switch self {
    case .indexOutOfRange: value = [1][zero + 1]
    case .nilUnwrapped:
      let none: Int? = zero == 0 ? nil : 1
      value = none!  // The crash that is asked for.
    case .overflow: value = Int.max - zero + (zero + 1)
    case .fatalError: Swift.fatalError("the crash that was asked for")
    case .exitZero: exit(0)
    case .exitThree: exit(3)
    case .killed: kill(getpid(), SIGKILL)
    }
    // Not reached; no status that a test expects.
    exit(64 | Int32(truncatingIfNeeded: value))
  }

  /// Whether a process ended as this does.
  func matches(_ status: Multiprocessing.ExitStatus) -> Bool {
    switch (self, status) {
    case (.exitZero, .exited(0)), (.exitThree, .exited(3)): true
    case (.exitZero, _), (.exitThree, _): false
    case (.killed, .signaled(.kill, _)): true
    case (.killed, _): false
    case (_, .signaled(let signal, _)): signal.rawValue == Self.trap
    default: false
    }
  }

  /// What a description of such an end must name.
  var mark: String {
    switch self {
    case .exitZero: "status 0"
    case .exitThree: "status 3"
    case .killed: "SIGKILL"
    default: "\(Signal(rawValue: Self.trap))"
    }
  }

  /// The signal of a trap instruction.
  #if arch(x86_64)
    private static let trap = SIGILL
  #else
    private static let trap = SIGTRAP
  #endif
}

/// Writes nonsense over what this worker says it has accepted, in the one ring that it can write.
func falsifyAccepted() {
  let maps = (try? String(contentsOfFile: "/proc/self/maps", encoding: .utf8)) ?? ""
  for line in maps.split(separator: "\n") where line.contains("memfd:mproc-ring") {
    guard line.contains(" rw-s "), let address = UInt(line.prefix { $0 != "-" }, radix: 16),
      let header = unsafe UnsafeMutableRawPointer(bitPattern: address)
    else { continue }
    unsafe header.storeBytes(of: 12_345, toByteOffset: 640, as: UInt64.self)
  }
}
