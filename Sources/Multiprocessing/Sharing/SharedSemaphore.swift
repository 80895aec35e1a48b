// A number of permits that processes share.

internal import CMultiprocessing
internal import Glibc

/// A number of permits that processes share; Python's `Semaphore`.
///
/// Nobody owns a permit, and any process may signal: one that dies with a permit takes it along. Cost: no system call
/// when there is a permit, or nobody waits.
public final class SharedSemaphore: Codable, Sendable {
  private let cell: SharedCell

  /// - Parameter value: How many permits there are at first.
  /// - Throws: `.invalidConfiguration` for a negative number or one beyond 2,147,483,647, `.startFailed` when there is
  ///   no memory.
  public init(_ value: Int) throws(ProcessError) {
    guard value >= 0, value <= Int(MPROC_SEMAPHORE_MAX) else {
      throw .invalidConfiguration(
        "a semaphore of \(value) permits: ask for 0 to \(MPROC_SEMAPHORE_MAX)")
    }
    cell = try SharedCell(.semaphore, detail: 0, byteCount: MemoryLayout<mproc_semaphore>.size)
    unsafe words.pointee.value = UInt32(value)
  }

  private var words: UnsafeMutablePointer<mproc_semaphore> {
    unsafe cell.words(as: mproc_semaphore.self)
  }

  /// Takes a permit, or waits for one. Blocks the calling thread: for the bodies of workers.
  public func wait() throws {
    _ = unsafe SharedWait.blocking(nil) { unsafe mproc_shared_semaphore_wait(words, $0) }
  }

  /// Takes a permit, or waits for one without holding a thread; throws `CancellationError`.
  public func wait() async throws { _ = try await waitSuspended(nil) }

  /// false: the limit passed.
  public func wait(within limit: Duration) throws -> Bool {
    unsafe SharedWait.blocking(limit) { unsafe mproc_shared_semaphore_wait(words, $0) } == 0
  }

  /// false: the limit passed.
  public func wait(within limit: Duration) async throws -> Bool {
    try await waitSuspended(limit) == 0
  }

  private func waitSuspended(_ limit: Duration?) async throws -> Int32 {
    unsafe try await SharedWait.suspended(limit) { [self] in
      unsafe mproc_shared_semaphore_wait(words, $0)
    }
  }

  /// Takes a permit if there is one.
  public func tryWait() -> Bool { unsafe mproc_shared_semaphore_try(words) }

  /// Gives so many permits. Traps for a negative number, and beyond 2,147,483,647 permits.
  public func signal(_ count: Int = 1) {
    precondition(count >= 0 && count <= Int(MPROC_SEMAPHORE_MAX), "so many permits cannot be given")
    let result = unsafe mproc_shared_semaphore_signal(words, UInt32(count))
    precondition(result == 0, "the semaphore has too many permits")
  }

  /// Runs `body` with a permit, and gives it back.
  public func withPermit<R: ~Copyable>(_ body: () throws -> R) throws -> R {
    try wait()
    defer { giveBack() }
    return try body()
  }

  /// Runs `body` with a permit, and gives it back.
  public func withPermit<R: ~Copyable>(_ body: () async throws -> R) async throws -> R {
    _ = try await waitSuspended(nil)
    defer { giveBack() }
    return try await body()
  }

  /// Nothing, where others have given so many meanwhile that there is no room for one more.
  private func giveBack() { _ = unsafe mproc_shared_semaphore_signal(words, 1) }

  /// Throws `EncodingError` outside a transfer to another process.
  public func encode(to encoder: any Encoder) throws { try cell.encode(to: encoder) }

  /// Throws `DecodingError` outside a transfer to another process.
  public init(from decoder: any Decoder) throws {
    cell = try SharedCell(.semaphore, from: decoder) { _ in MemoryLayout<mproc_semaphore>.size }
  }
}
