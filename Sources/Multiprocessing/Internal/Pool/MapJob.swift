// One `map` or `forEach`: many items, one caller, results by position.

internal import Synchronization

/// Collects the results of a map. Those without references go straight to their place, others are kept
/// encoded, in pieces, and decoded by the caller, so that no code of the user's runs elsewhere.
final class MapJob<Output>: PoolJob, @unchecked Sendable {  // `state` guards all that changes.
  private struct Piece {
    var first: Int
    var count: Int
    var bytes: [UInt8]
  }

  @safe
  private struct State {
    var results: UnsafeMutablePointer<Output>?
    var capacity = 0
    var pieces: [Piece] = []
    var failure: (item: Int, ItemFailure)?
    var recordsInFlight = 0
    var itemsInFlight = 0
    var waiter: CheckedContinuation<Void, Never>?
    /// Records that ended since the caller last looked.
    var news = 0
  }

  private let state = Guarded(State())
  private let keepsBytes: Bool
  /// A moving average in nanoseconds; 0: not known.
  private let averageTime = Atomic<Int>(0)

  /// - Parameter isBytes: Whether results travel as plain bytes.
  init(_ body: PoolBody, isBytes: Bool) {
    keepsBytes = !isBytes
    super.init(body)
  }

  deinit {
    state.withLock { unsafe $0.results?.deallocate() }
  }

  override var reportsIndex: Bool { true }
  override var wantsMore: Bool { !isEnded && !hasFailed }

  var hasFailed: Bool { state.withLock { $0.failure != nil } }
  var itemsInFlight: Int { state.withLock { $0.itemsInFlight } }

  /// Nanoseconds that an item took of late; nil: not known.
  var itemTime: Int? {
    let time = averageTime.load(ordering: .relaxed)
    return time == 0 ? nil : time
  }

  override func noteItemTime(_ sample: Int) -> Bool {
    let old = averageTime.load(ordering: .relaxed)
    averageTime.store(old == 0 ? sample : (old + sample) / 2, ordering: .relaxed)
    return true
  }

  // MARK: - The caller's side

  /// Before items `first..<first + count` are submitted in so many records.
  func willSubmit(first: Int, count: Int, records: Int) {
    state.withLock { state in
      state.recordsInFlight += records
      state.itemsInFlight += count
      guard !keepsBytes, first + count > state.capacity else { return }
      let capacity = max(first + count, state.capacity * 2, 64)
      let grown = UnsafeMutablePointer<Output>.allocate(capacity: capacity)
      if let old = unsafe state.results {
        // Values without references: their bytes are all there is to move.
        unsafe UnsafeMutableRawPointer(grown).copyMemory(
          from: old, byteCount: state.capacity * MemoryLayout<Output>.stride)
        unsafe old.deallocate()
      }
      unsafe state.results = grown
      state.capacity = capacity
    }
  }

  /// Room for a known number of items at once, within reason.
  func reserve(_ expected: Int) {
    let count = min(expected, 1 << 24)
    guard count > 0 else { return }
    willSubmit(first: 0, count: count, records: 0)
    state.withLock { $0.itemsInFlight -= count }
  }

  var isIdle: Bool { state.withLock { $0.recordsInFlight == 0 } }

  /// Returns when a record has ended since the last call, or none is in flight.
  func waitForNews() async {
    await withCheckedContinuation { continuation in
      let isThere = state.withLock { state in
        if state.news > 0 || state.recordsInFlight == 0 {
          state.news = 0
          return true
        }
        state.waiter = continuation
        return false
      }
      if isThere { continuation.resume() }
    }
  }

  /// The first failure by time, if there was one.
  func takeFailure() -> ItemFailure? { state.withLock { $0.failure?.1 } }

  /// All results, once nothing is in flight and nothing has failed.
  func results(_ count: Int, _ decoder: ResultDecoder<Output>) throws -> [Output] {
    if keepsBytes { return try decodePieces(count, decoder) }
    return state.withLock { state in
      guard let results = unsafe state.results, count > 0 else { return [] }
      return unsafe [Output](unsafeUninitializedCapacity: count) { buffer, initialized in
        if let target = buffer.baseAddress {
          unsafe UnsafeMutableRawPointer(target).copyMemory(
            from: results, byteCount: count * MemoryLayout<Output>.stride)
        }
        initialized = count
      }
    }
  }

  private func decodePieces(_ count: Int, _ decoder: ResultDecoder<Output>) throws -> [Output] {
    let pieces = state.withLock { $0.pieces.sorted { $0.first < $1.first } }
    var results: [Output] = []
    results.reserveCapacity(count)
    let context = IncomingTransfer()
    for piece in pieces {
      try unsafe piece.bytes.withUnsafeBytes { bytes in
        var reader = unsafe ByteReader(bytes)
        for _ in 0..<piece.count { results.append(try decoder(&reader, context)) }
      }
    }
    return results
  }

  // MARK: - The channels' side

  override func receive(first: Int, count: Int, _ bytes: UnsafeRawBufferPointer) -> Bool {
    state.withLock { state in
      if keepsBytes {
        state.pieces.append(Piece(first: first, count: count, bytes: unsafe [UInt8](bytes)))
        return true
      }
      guard let results = unsafe state.results, first >= 0, first + count <= state.capacity else {
        return false
      }
      return unsafe unpackBytes(bytes, count, into: results + first)
    }
  }

  override func fail(item: Int, _ failure: ItemFailure) {
    state.withLock { state in
      if state.failure == nil { state.failure = (item, failure) }
    }
  }

  override func recordsEnded(_ records: Int, items: Int) {
    state.withLock { state in
      state.recordsInFlight -= records
      state.itemsInFlight -= items
      state.news += records
    }
  }

  override var showsAtOnce: Bool { false }

  override func wake() {
    let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
      guard let waiter = state.waiter else { return nil }
      state.waiter = nil
      state.news = 0
      return waiter
    }
    waiter?.resume()
  }
}
