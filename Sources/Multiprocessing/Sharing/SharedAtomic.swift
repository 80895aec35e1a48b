// A value that processes change without a lock.

internal import CMultiprocessing

/// What a ``SharedAtomic`` can hold: integers of 32 and 64 bits, and `Bool`.
public protocol SharedAtomicValue: BitwiseCopyable, Sendable {}

extension Int: SharedAtomicValue {}
extension Int32: SharedAtomicValue {}
extension Int64: SharedAtomicValue {}
extension UInt: SharedAtomicValue {}
extension UInt32: SharedAtomicValue {}
extension UInt64: SharedAtomicValue {}
extension Bool: SharedAtomicValue {}

/// A lock-free value in shared memory; all operations are sequentially consistent. Whatever process dies at whatever
/// moment, an operation has been done or not.
public final class SharedAtomic<Value: SharedAtomicValue>: Codable, Sendable {
  private let cell: SharedCell

  /// - Throws: `.startFailed` when there is no memory.
  public init(_ value: Value) throws(ProcessError) {
    precondition(
      MemoryLayout<Value>.size <= MemoryLayout<UInt64>.size, "a value of more than 64 bits")
    cell = try SharedCell(
      .atomic, detail: UInt64(MemoryLayout<Value>.size),
      byteCount: MemoryLayout<mproc_watched>.size)
    store(value)
  }

  private var watched: UnsafeMutablePointer<mproc_watched> {
    unsafe cell.words(as: mproc_watched.self)
  }

  private var word: UnsafeMutablePointer<UInt64> { unsafe cell.words(as: UInt64.self) }

  /// A value is the low bytes of the word, the others zero.
  private static func word(of value: Value) -> UInt64 {
    var word: UInt64 = 0
    unsafe withUnsafeMutableBytes(of: &word) { unsafe $0.storeBytes(of: value, as: Value.self) }
    return UInt64(littleEndian: word)
  }

  private static func value(of word: UInt64) -> Value {
    // Any other process may have written the word: a Bool takes its lowest bit.
    let word = Value.self == Bool.self ? word & 1 : word
    return unsafe withUnsafeBytes(of: word.littleEndian) { unsafe $0.loadUnaligned(as: Value.self) }
  }

  public func load() -> Value { Self.value(of: unsafe mproc_load_seq(word)) }

  public func store(_ value: Value) { unsafe mproc_store_seq(word, Self.word(of: value)) }

  public func exchange(_ value: Value) -> Value {
    Self.value(of: unsafe mproc_exchange_seq(word, Self.word(of: value)))
  }

  public func compareExchange(
    expected: Value, desired: Value
  ) -> (exchanged: Bool, original: Value) {
    let expected = Self.word(of: expected)
    let original = unsafe mproc_compare_exchange_seq(word, expected, Self.word(of: desired))
    return (original == expected, Self.value(of: original))
  }

  // MARK: - Waiting

  /// Waits while the value equals `value`; it is looked at after each notification. Blocks the calling thread: for
  /// the bodies of workers.
  public func wait(while value: Value) {
    _ = unsafe SharedWait.blocking(nil) {
      unsafe mproc_watched_wait(watched, Self.word(of: value), $0)
    }
  }

  /// As the blocking form, without holding a thread; throws `CancellationError`.
  public func wait(while value: Value) async throws { _ = try await waitSuspended(value, nil) }

  /// false: the limit passed.
  public func wait(while value: Value, within limit: Duration) -> Bool {
    unsafe SharedWait.blocking(limit) {
      unsafe mproc_watched_wait(watched, Self.word(of: value), $0)
    } == 0
  }

  /// false: the limit passed.
  public func wait(while value: Value, within limit: Duration) async throws -> Bool {
    try await waitSuspended(value, limit) == 0
  }

  private func waitSuspended(_ value: Value, _ limit: Duration?) async throws -> Int32 {
    let value = Self.word(of: value)
    return unsafe try await SharedWait.suspended(limit) { [self] in
      unsafe mproc_watched_wait(watched, value, $0)
    }
  }

  /// Wakes one of those who wait. Cost: no system call when nobody does.
  public func notifyOne() { unsafe mproc_watched_notify(watched, false) }

  /// Wakes all who wait. Cost: no system call when nobody does.
  public func notifyAll() { unsafe mproc_watched_notify(watched, true) }

  // MARK: - Codable

  /// Throws `EncodingError` outside a transfer to another process.
  public func encode(to encoder: any Encoder) throws { try cell.encode(to: encoder) }

  /// Throws `DecodingError` outside a transfer to another process, and for a value of another size.
  public init(from decoder: any Decoder) throws {
    cell = try SharedCell(.atomic, from: decoder) { size in
      size == UInt64(MemoryLayout<Value>.size) ? MemoryLayout<mproc_watched>.size : nil
    }
  }
}

extension SharedAtomic where Value: FixedWidthInteger {
  /// Wraps around; the value before.
  @discardableResult
  public func add(_ operand: Value) -> Value {
    guard MemoryLayout<Value>.size == MemoryLayout<UInt64>.size else {
      return update { $0 &+ operand }
    }
    return Value(
      truncatingIfNeeded: unsafe mproc_add_seq(word, UInt64(truncatingIfNeeded: operand)))
  }

  @discardableResult
  public func subtract(_ operand: Value) -> Value { add(0 &- operand) }

  @discardableResult
  public func bitwiseAnd(_ operand: Value) -> Value { update { $0 & operand } }

  @discardableResult
  public func bitwiseOr(_ operand: Value) -> Value { update { $0 | operand } }

  @discardableResult
  public func bitwiseXor(_ operand: Value) -> Value { update { $0 ^ operand } }

  @discardableResult
  public func max(_ operand: Value) -> Value { update { Swift.max($0, operand) } }

  @discardableResult
  public func min(_ operand: Value) -> Value { update { Swift.min($0, operand) } }

  private func update(_ change: (Value) -> Value) -> Value {
    // The whole word is compared: its upper half may be what another process has written by mistake.
    var old = unsafe mproc_load_seq(word)
    while true {
      let value = Self.value(of: old)
      let found = unsafe mproc_compare_exchange_seq(word, old, Self.word(of: change(value)))
      if found == old { return value }
      old = found
    }
  }
}
