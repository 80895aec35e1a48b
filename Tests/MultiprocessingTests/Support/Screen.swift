// A terminal as far as progress needs one, for looking at what it shows; and a real one of the kernel's.

import Foundation
import Glibc
import Synchronization
import Testing

/// What a terminal of so many columns shows. It wraps, as terminals do.
final class Screen: Sendable {
  private struct State {
    var lines: [[Character]] = [[]]
    var column = 0
  }

  private let state = Mutex(State())
  let columns: Int

  init(columns: Int) { self.columns = columns }

  /// Without the spaces at the ends of lines.
  var lines: [String] {
    state.withLock { state in
      state.lines.map { line in
        String(line.reversed().drop { $0 == " " }.reversed())
      }
    }
  }

  func write(_ text: String) {
    state.withLock { state in
      for scalar in text.unicodeScalars { Self.put(Character(scalar), &state, columns) }
    }
  }

  private static func put(_ character: Character, _ state: inout State, _ columns: Int) {
    switch character {
    case "\r": state.column = 0
    case "\n":
      state.lines.append([])
      state.column = 0
    default:
      if state.column == columns {
        state.lines.append([])
        state.column = 0
      }
      let last = state.lines.count - 1
      while state.lines[last].count <= state.column { state.lines[last].append(" ") }
      state.lines[last][state.column] = character
      state.column += 1
    }
  }
}

/// A pseudo-terminal: what is written to `terminal` can be read from here.
final class PseudoTerminal {
  let terminal: FileHandle
  private let controller: CInt

  init(columns: Int) throws {
    controller = unsafe open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
    try #require(controller >= 0)
    var unlocked: CInt = 0
    try #require(unsafe ioctl(controller, UInt(0x4004_5431), &unlocked) == 0)  // TIOCSPTLCK
    var size = winsize(ws_row: 24, ws_col: UInt16(columns), ws_xpixel: 0, ws_ypixel: 0)
    try #require(unsafe ioctl(controller, UInt(TIOCSWINSZ), &size) == 0)
    let peer = ioctl(controller, UInt(0x5441), O_RDWR | O_NOCTTY | O_CLOEXEC)  // TIOCGPTPEER
    try #require(peer >= 0)
    terminal = FileHandle(fileDescriptor: peer, closeOnDealloc: true)
  }

  deinit { close(controller) }

  /// Everything that is written until all others have closed the terminal. Holds no thread while it waits.
  func readToEnd() async throws -> String {
    try terminal.close()
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4_096)
    while true {
      var source = pollfd(fd: controller, events: Int16(POLLIN), revents: 0)
      try await until { unsafe poll(&source, 1, 0) != 0 }
      let count = unsafe read(controller, &buffer, buffer.count)
      // EIO: the last one has closed it.
      guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
      bytes += buffer[..<count]
    }
  }
}
