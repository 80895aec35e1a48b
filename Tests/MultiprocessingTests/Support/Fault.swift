// Ends of a process that leave a record, beyond those of `Crash`.

import Foundation
import Glibc

enum Fault: String, Codable, Sendable, CaseIterable {
  case badAccess, abort, failedCast, sent, stackOverflow, otherThread, otherThreadStackOverflow
  case damagedStack, ownHandler

  static let badAddress = 0x12_3450

  @inline(never)
  func perform() {
    switch self {
    case .badAccess:
      unsafe UnsafeMutablePointer<Int>(bitPattern: Self.badAddress)?.pointee = 1
    case .abort: Glibc.abort()
    case .failedCast: failCast()
    case .sent: kill(getpid(), SIGBUS)
    case .stackOverflow: print(goDeep(Int(getpid())))
    case .otherThread: inThread { Fault.badAccess.perform() }
    case .otherThreadStackOverflow: inThread { Fault.stackOverflow.perform() }
    case .damagedStack: damageStack()
    case .ownHandler:
      signal(SIGSEGV) { _ in _exit(42) }
      Fault.badAccess.perform()
    }
    // Not a tail call: this function stays on the stack.
    fflush(nil)
  }

  private func inThread(_ body: @escaping @Sendable () -> Void) {
    Thread {
      try? "beside".write(toFile: "/proc/thread-self/comm", atomically: false, encoding: .utf8)
      body()
    }.start()
    while true { sleep(1_000) }
  }
}

private struct Box<Value> {
  var value: Value
  init(_ value: Value) { self.value = value }
}

@inline(never)
private func failCast() {
  // Which of the two it is shows at run time alone: else the optimiser puts a trap here.
  let box: Any = unsafe getenv("MPROC_IS_NEVER_SET") == nil ? Box("text") : Box(1)
  print(box as! Box<Int>)  // The crash that is asked for.
}

@inline(never)
private func goDeep(_ n: Int) -> Int {
  // Two operations on the result: with one, the optimiser makes a loop of it.
  n == 0 ? 1 : (goDeep(n &+ 1) ^ n) &* 3
}

/// Overwrites the frames of its callers, and then crashes.
@inline(never)
private func damageStack() {
  unsafe withUnsafeTemporaryAllocation(of: UInt.self, capacity: 16) { buffer in
    guard let base = buffer.baseAddress else { return }
    for index in 0..<512 { unsafe (base + index).pointee = 0x4141_4141_4141_4140 }
    unsafe UnsafeMutablePointer<Int>(bitPattern: Fault.badAddress)?.pointee = 1
  }
}
