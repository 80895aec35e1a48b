// Where processes wait for each other.

internal import CMultiprocessing
internal import Glibc

/// Where a fixed number of parties wait for each other, round after round; Python's `Barrier`.
///
/// A party that dies while it waits, or after it was in the round before, breaks the barrier for the others, within
/// some 20 ms; so do a limit that passes and a cancellation. An arrival counts, whatever comes after it: the last
/// party does not look whether the others still live. A broken barrier throws `ProcessError.closed` until it
/// is reset.
public final class SharedBarrier: Codable, Sendable {
  private let cell: SharedCell

  /// - Parameter parties: 1 to 4,096.
  /// - Throws: `.invalidConfiguration` for another number, `.startFailed` when there is no memory.
  public init(parties: Int) throws(ProcessError) {
    guard parties > 0, parties <= Int(MPROC_BARRIER_MAX_PARTIES) else {
      throw .invalidConfiguration(
        "a barrier of \(parties) parties: ask for 1 to \(MPROC_BARRIER_MAX_PARTIES)")
    }
    let count = UInt32(parties)
    cell = try SharedCell(
      .barrier, detail: UInt64(count), byteCount: Int(mproc_barrier_bytes(count)))
    unsafe mproc_barrier_init(words, count)
  }

  private var words: UnsafeMutablePointer<mproc_barrier> {
    unsafe cell.words(as: mproc_barrier.self)
  }

  private var count: UInt32 { UInt32(cell.detail) }

  public var parties: Int { Int(count) }

  /// Waits for the others: the arrival index, 0 for the first. Blocks the calling thread: for the bodies of workers.
  @discardableResult
  public func wait() throws -> Int {
    unsafe try index(SharedWait.blocking(nil) { unsafe mproc_barrier_wait(words, count, $0) }, nil)
  }

  /// Waits for the others without holding a thread; throws `CancellationError`.
  @discardableResult
  public func wait() async throws -> Int { try await waitSuspended(nil) }

  /// Throws `ProcessError.timedOut`, and `.closed` in the others, when they have not come within `limit`.
  @discardableResult
  public func wait(within limit: Duration) throws -> Int {
    unsafe try index(
      SharedWait.blocking(limit) { unsafe mproc_barrier_wait(words, count, $0) }, limit)
  }

  /// Throws `ProcessError.timedOut`, and `.closed` in the others, when they have not come within `limit`.
  @discardableResult
  public func wait(within limit: Duration) async throws -> Int { try await waitSuspended(limit) }

  private func waitSuspended(_ limit: Duration?) async throws -> Int {
    let result = unsafe try await SharedWait.suspendedOnce(limit) { [self] in
      unsafe mproc_barrier_wait(words, count, $0)
    }
    return try index(result, limit)
  }

  private func index(_ result: Int32, _ limit: Duration?) throws(ProcessError) -> Int {
    switch result {
    case 0...: return Int(result)
    case -ETIMEDOUT: throw .timedOut(limit ?? .zero)
    default: throw .closed
    }
  }

  /// Breaks the barrier: those who wait, and those who come, get `ProcessError.closed` until it is reset.
  public func abort() { unsafe mproc_barrier_abort(words) }

  /// Makes it ready for a new round; who waits gets `ProcessError.closed`.
  public func reset() { unsafe mproc_barrier_reset(words, count) }

  /// Throws `EncodingError` outside a transfer to another process.
  public func encode(to encoder: any Encoder) throws { try cell.encode(to: encoder) }

  /// Throws `DecodingError` outside a transfer to another process.
  public init(from decoder: any Decoder) throws {
    cell = try SharedCell(.barrier, from: decoder) { parties in
      parties > 0 && parties <= UInt64(MPROC_BARRIER_MAX_PARTIES)
        ? Int(mproc_barrier_bytes(UInt32(parties))) : nil
    }
  }
}
