// Where progress is shown: standard error.

internal import CMultiprocessing
internal import Glibc
internal import Synchronization

/// The one line of the terminal that all bars of this process share.
///
/// It is rewritten from its beginning with a carriage return, which every terminal knows, and each change is one
/// write. A bar that ends leaves its line behind, and the others go on below.
final class ProgressDisplay: Sendable {
  struct Bar {
    fileprivate let number: Int
  }

  private struct State {
    var lastNumber = 0
    /// The bars that have something to show, in the order in which they began.
    var shown: [(number: Int, text: ProgressText)] = []
    /// Columns that the line takes now.
    var drawn = 0
  }

  static let shared = ProgressDisplay()

  static var isOnTerminal: Bool { mproc_terminal_columns(STDERR_FILENO) >= 0 }

  private let state = Mutex(State())
  private let columns: @Sendable () -> Int
  private let write: @Sendable (String) -> Void

  convenience init() {
    self.init(
      columns: { max(0, Int(mproc_terminal_columns(STDERR_FILENO))) }, write: writeToStandardError)
  }

  init(
    columns: @escaping @Sendable () -> Int, write: @escaping @Sendable (String) -> Void
  ) {
    self.columns = columns
    self.write = write
  }

  func addBar() -> Bar {
    state.withLock { state in
      state.lastNumber += 1
      return Bar(number: state.lastNumber)
    }
  }

  func show(_ bar: Bar, _ text: ProgressText) {
    state.withLock { state in
      if let place = state.shown.firstIndex(where: { $0.number == bar.number }) {
        state.shown[place].text = text
      } else {
        state.shown.append((bar.number, text))
      }
      write(redraw(&state))
    }
  }

  /// Leaves the bar's last state behind as a line of its own.
  func finish(_ bar: Bar, _ text: ProgressText) {
    state.withLock { state in
      state.shown.removeAll { $0.number == bar.number }
      let line = replace(text.bar(columns: room), &state) + "\n"
      state.drawn = 0
      write(line + (state.shown.isEmpty ? "" : redraw(&state)))
    }
  }

  func printLine(_ text: String) { write(text + "\n") }

  /// The last column stays empty: some terminals move on when it is written.
  private var room: Int { max(0, columns() - 1) }

  private func redraw(_ state: inout State) -> String {
    if state.shown.count == 1 { return replace(state.shown[0].text.bar(columns: room), &state) }
    let all = state.shown.map(\.text.short).joined(separator: " | ")
    let cut = all.count <= room ? all : String((all.prefix(max(0, room - 3)) + "...").prefix(room))
    return replace(cut, &state)
  }

  /// What turns the line that is drawn into `line`. All of it is ASCII: a character is a column.
  private func replace(_ line: String, _ state: inout State) -> String {
    defer { state.drawn = line.count }
    return "\r" + line + String(repeating: " ", count: max(0, state.drawn - line.count))
  }
}

private func writeToStandardError(_ text: String) {
  var text = text
  text.withUTF8 { bytes in
    // Nobody can be told that standard error is closed.
    _ = unsafe mproc_write_now(STDERR_FILENO, bytes.baseAddress, bytes.count)
  }
}
