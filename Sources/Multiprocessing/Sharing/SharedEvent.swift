// A flag that processes wait for.

internal import CMultiprocessing

/// A flag that processes wait for; Python's `Event`. Cost: no system call when it is set already, or nobody waits.
public final class SharedEvent: Codable, Sendable {
  private let cell: SharedCell

  /// Not set. Throws `.startFailed` when there is no memory.
  public init() throws(ProcessError) {
    cell = try SharedCell(.event, detail: 0, byteCount: MemoryLayout<mproc_event>.size)
  }

  private var words: UnsafeMutablePointer<mproc_event> {
    unsafe cell.words(as: mproc_event.self)
  }

  public var isSet: Bool { unsafe mproc_event_is_set(words) }

  /// Wakes all who wait.
  public func set() { unsafe mproc_event_set(words) }

  public func clear() { unsafe mproc_event_clear(words) }

  /// Waits until it is set. Blocks the calling thread: for the bodies of workers.
  public func wait() throws {
    _ = unsafe SharedWait.blocking(nil) { unsafe mproc_event_wait(words, $0) }
  }

  /// Waits until it is set, without holding a thread; throws `CancellationError`.
  public func wait() async throws { _ = try await waitSuspended(nil) }

  /// false: the limit passed.
  public func wait(within limit: Duration) throws -> Bool {
    unsafe SharedWait.blocking(limit) { unsafe mproc_event_wait(words, $0) } == 0
  }

  /// false: the limit passed.
  public func wait(within limit: Duration) async throws -> Bool {
    try await waitSuspended(limit) == 0
  }

  private func waitSuspended(_ limit: Duration?) async throws -> Int32 {
    unsafe try await SharedWait.suspended(limit) { [self] in unsafe mproc_event_wait(words, $0) }
  }

  /// Throws `EncodingError` outside a transfer to another process.
  public func encode(to encoder: any Encoder) throws { try cell.encode(to: encoder) }

  /// Throws `DecodingError` outside a transfer to another process.
  public init(from decoder: any Decoder) throws {
    cell = try SharedCell(.event, from: decoder) { _ in MemoryLayout<mproc_event>.size }
  }
}
