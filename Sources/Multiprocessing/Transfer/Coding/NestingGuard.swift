// NestingGuard bounds how deep values may nest, so that a long linked list or hostile input ends in
// a thrown error and not in a stack overflow.

internal import Glibc

/// Counts nested values and watches the stack they use.
///
/// At most `maximumDepth` values of Codable types may nest. A level takes the coder and the type's
/// own code one to seven kilobytes of stack, so a count alone protects nothing: a level is also
/// refused when less than 128 KiB of the thread's stack are left. A stack of 512 KiB is safe so,
/// and one of 8 MiB, which is usual, reaches the full depth. The thread is asked for its limits
/// only beyond the first 64 KiB used.
struct NestingGuard {
  static let maximumDepth = 1000
  private static let reserveByteCount = 128 << 10
  private static let uncheckedByteCount = 64 << 10
  /// What all levels together may use where the thread's limits cannot be found out.
  private static let fallbackByteCount = 320 << 10

  private(set) var depth = 0
  private let start: Int
  private var lowest: Int
  private var isLimitKnown = false

  init() {
    start = Self.stackAddress()
    lowest = start - Self.uncheckedByteCount
  }

  /// Whether one more level fits; if so, it is counted until `leave()`.
  @inline(__always)
  mutating func enter() -> Bool {
    guard depth < Self.maximumDepth else { return false }
    // The stack grows towards lower addresses.
    if Self.stackAddress() < lowest, !extend() { return false }
    depth += 1
    return true
  }

  @inline(__always)
  mutating func leave() {
    depth -= 1
  }

  @inline(never)
  private mutating func extend() -> Bool {
    guard !isLimitKnown else { return false }
    isLimitKnown = true
    let address = Self.stackAddress()
    if let stack = Self.threadStack(), stack.contains(address) {
      lowest = stack.lowerBound + Self.reserveByteCount
    } else {
      lowest = start - Self.fallbackByteCount
    }
    return address >= lowest
  }

  /// An address in the calling function's part of the stack.
  @inline(never)
  private static func stackAddress() -> Int {
    var marker: UInt8 = 0
    return unsafe withUnsafeMutablePointer(to: &marker) { Int(bitPattern: $0) }
  }

  /// The addresses of the calling thread's stack.
  private static func threadStack() -> Range<Int>? {
    var attributes = pthread_attr_t()
    guard unsafe threadAttributes(pthread_self(), &attributes) == 0 else { return nil }
    defer { unsafe _ = pthread_attr_destroy(&attributes) }
    var address: UnsafeMutableRawPointer?
    var byteCount = 0
    guard unsafe pthread_attr_getstack(&attributes, &address, &byteCount) == 0 else { return nil }
    let lowest = Int(bitPattern: address)
    let (end, overflow) = lowest.addingReportingOverflow(byteCount)
    return overflow || end < lowest ? nil : lowest..<end
  }
}

/// glibc declares this function only for C that asks for GNU extensions, which an import of Glibc
/// does not.
@_silgen_name("pthread_getattr_np")
private func threadAttributes(
  _ thread: pthread_t, _ attributes: UnsafeMutablePointer<pthread_attr_t>
) -> CInt
