// Two processes at once, one for squares and one for cubes. Each prints which process it is and which
// one started it; then the same again, with the results returned.

import Glibc
import Multiprocessing
import Synchronization

@main
enum SquaresAndCubes {
  static func main() async throws {
    print("the application is process \(getpid())")

    // Both run from here on; `value` waits for the end of the body, or throws what it threw.
    let squares = try ChildProcess(5, body: printSquares)
    let cubes = try ChildProcess(5, body: printCubes)
    try await squares.value
    try await cubes.value

    // A process has memory of its own: what the children counted stayed with them.
    print("lines printed by the application itself: \(linesPrinted.withLock { $0 })")

    // So results are returned. A closure works as well as a function, if it captures nothing:
    // what the body needs goes in as arguments.
    let squareList = try ChildProcess(5) { (1...$0).map { $0 * $0 } }
    let cubeList = try ChildProcess(5) { (1...$0).map { $0 * $0 * $0 } }
    print("the squares: \(try await squareList.value)")
    print("the cubes: \(try await cubeList.value)")
  }
}

/// A global is initialised anew in each process that uses it.
let linesPrinted = Mutex(0)

func printSquares(upTo last: Int) {
  for number in 1...last { report("square of \(number) is \(number * number)") }
}

func printCubes(upTo last: Int) {
  for number in 1...last { report("cube of \(number) is \(number * number * number)") }
}

func report(_ text: String) {
  linesPrinted.withLock { $0 += 1 }
  let parent = CurrentProcess.parentProcessIdentifier.map { "\($0)" } ?? "nobody"
  print("\(text) (process \(getpid()), started by \(parent))")
}
