// One value and its lock.

/// One value and its lock; Python's `Value`.
public final class SharedValue<Value: BitwiseCopyable & Sendable>: Codable, Sendable {
  private let mutex: SharedMutex<Value>

  /// - Throws: `.startFailed` when there is no memory.
  public init(_ value: Value) throws(ProcessError) { mutex = try SharedMutex(value) }

  /// Runs `body` with the lock held. Blocks the calling thread: for the bodies of workers.
  public func withLock<R: ~Copyable>(_ body: (inout Value) throws -> R) throws -> R {
    try mutex.withLock(body)
  }

  /// Runs `body` with the lock held, and waits for it without holding a thread; throws `CancellationError`.
  public func withLock<R: ~Copyable>(_ body: (inout Value) throws -> R) async throws -> R {
    try await mutex.withLock(body)
  }

  public func load() throws -> Value { mutex.withLock { $0 } }

  public func load() async throws -> Value { try await mutex.withLock { $0 } }

  /// Throws `EncodingError` outside a transfer to another process.
  public func encode(to encoder: any Encoder) throws { try mutex.encode(to: encoder) }

  /// Throws `DecodingError` outside a transfer to another process, and for a value of another size.
  public init(from decoder: any Decoder) throws { mutex = try SharedMutex(from: decoder) }
}
