// Progress in words, and the line on the terminal.

import Testing

@testable import Multiprocessing

@Suite("The display of progress", .timeLimit(.minutes(1)))
struct ProgressDisplayTests {
  private func display(on screen: Screen) -> ProgressDisplay {
    ProgressDisplay(columns: { screen.columns }, write: { screen.write($0) })
  }

  private func text(
    _ completed: Int, of total: Int?, failed: Int = 0, after seconds: Double = 10,
    isFinal: Bool = false
  ) -> ProgressText {
    ProgressText(
      ProcessPool.Progress(completed: completed, total: total, failed: failed),
      elapsed: UInt64(seconds * 1e9), isFinal: isFinal)
  }

  @Test("progress in words")
  func words() {
    #expect(text(450, of: 1_000).summary == "450/1000 (45%), 45.0/s, 0:12 left")
    #expect(
      text(450, of: 1_000, failed: 3).summary == "450/1000 (45%), 45.0/s, 0:12 left, 3 failed")
    #expect(
      text(1_000, of: 1_000, isFinal: true).summary == "1000/1000 (100%), 100/s, in 0:10")
    #expect(text(7, of: nil, after: 100).summary == "7 done, 0.07/s, 1:40")
    #expect(text(0, of: 5).summary == "0/5 (0%), 0:10")
    #expect(text(0, of: 0, isFinal: true).summary == "0/0 (100%), in 0:10")
    #expect(text(1, of: 226, after: 64).summary == "1/226 (0%), 0.01/s, 4:00:00 left")
    #expect(text(123_456_789, of: nil).summary == "123456789 done, 12M/s, 0:10")
    // Not 100 % before the end.
    #expect(text(999_999, of: 1_000_000).short == "99% 999999/1000000")
  }

  @Test("a bar takes the room that it is given")
  func bar() {
    #expect(
      text(450, of: 1_000).bar(columns: 120)
        == " 45% [=================>                      ] 450/1000, 45.0/s, 0:12 left")
    #expect(
      text(450, of: 1_000).bar(columns: 45) == " 45% [===>      ] 450/1000, 45.0/s, 0:12 left")
    #expect(text(450, of: 1_000).bar(columns: 40) == " 45% 450/1000, 45.0/s, 0:12 left")
    #expect(text(450, of: 1_000).bar(columns: 12) == " 45% 450/100")
    #expect(
      text(5, of: 5, isFinal: true).bar(columns: 50)
        == "100% [======================] 5/5, 0.50/s, in 0:10")
    #expect(text(5, of: nil).bar(columns: 50) == "5 done, 0.50/s, 0:10")
    for columns in 1..<100 {
      for (completed, total) in [(0, 100), (1, 100), (50, 100), (100, 100), (3, nil)] {
        #expect(text(completed, of: total, failed: 2).bar(columns: columns).count <= columns)
      }
    }
  }

  @Test("a bar is rewritten in its line, and ends with it")
  func one() {
    let screen = Screen(columns: 80)
    let display = display(on: screen)
    let bar = display.addBar()
    display.show(bar, text(10, of: 1_000, failed: 5))
    display.show(bar, text(450, of: 1_000))
    #expect(screen.lines == [text(450, of: 1_000).bar(columns: 79)])
    display.finish(bar, text(1_000, of: 1_000, isFinal: true))
    #expect(screen.lines == [text(1_000, of: 1_000, isFinal: true).bar(columns: 79), ""])
  }

  @Test("bars of several maps share the line")
  func several() {
    let screen = Screen(columns: 60)
    let display = display(on: screen)
    let (first, second) = (display.addBar(), display.addBar())
    display.show(first, text(450, of: 1_000))
    display.show(second, text(7, of: nil))
    #expect(screen.lines == ["45% 450/1000 | 7 done"])
    display.show(first, text(500, of: 1_000))
    #expect(screen.lines == ["50% 500/1000 | 7 done"])
    let end = text(8, of: nil, isFinal: true)
    display.finish(second, end)
    #expect(screen.lines == [end.bar(columns: 59), text(500, of: 1_000).bar(columns: 59)])
    display.finish(first, text(1_000, of: 1_000, isFinal: true))
    #expect(screen.lines.count == 3 && screen.lines[2] == "")
    // A bar that ended before it was due leaves a line, too.
    display.finish(display.addBar(), text(1, of: 1, isFinal: true))
    #expect(screen.lines.count == 4)
  }

  @Test("a narrow terminal gets no second line", arguments: [1, 2, 10, 20, 40])
  func narrow(_ columns: Int) {
    let screen = Screen(columns: columns)
    let display = display(on: screen)
    let bars = (0..<5).map { _ in display.addBar() }
    for (number, bar) in bars.enumerated() { display.show(bar, text(number * 10, of: 1_000)) }
    #expect(screen.lines.count == 1)
    #expect(screen.lines[0].count < columns)
  }

  @Test("maps in many tasks at once leave one line each")
  func concurrent() async {
    let screen = Screen(columns: 70)
    let display = display(on: screen)
    await withTaskGroup(of: Void.self) { group in
      for number in 1...8 {
        group.addTask {
          let bar = display.addBar()
          for step in 0..<200 { display.show(bar, text(step, of: 200)) }
          display.finish(bar, text(200, of: 200, failed: number, isFinal: true))
        }
      }
    }
    let ends = (1...8).map {
      text(200, of: 200, failed: $0, isFinal: true).bar(columns: 69)
    }
    #expect(Set(screen.lines) == Set(ends + [""]))
    #expect(screen.lines.count == 9)
  }
}
