// One `map` or `forEach`: many items, one caller, results by position.

/// Collects the results of a map. Those without references go straight to their place, others are kept
/// encoded, in pieces, and decoded by the caller, so that no code of the user's runs elsewhere.
final class MapJob<Output>: FedJob, @unchecked Sendable {  // `state` guards all that changes.
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
  }

  private let state = Guarded(State())
  private let keepsBytes: Bool

  /// - Parameter isBytes: Whether results travel as plain bytes.
  init(_ body: PoolBody, isBytes: Bool) {
    keepsBytes = !isBytes
    super.init(body)
  }

  deinit {
    state.withLock { unsafe $0.results?.deallocate() }
  }

  // MARK: - The caller's side

  override func willSubmit(first: Int, count: Int, records: Int) {
    super.willSubmit(first: first, count: count, records: records)
    makeRoom(first + count)
  }

  /// Room for a known number of items at once, within reason.
  func reserve(_ expected: Int) {
    if expected > 0 { makeRoom(min(expected, 1 << 24)) }
  }

  private func makeRoom(_ count: Int) {
    if keepsBytes { return }
    state.withLock { state in
      guard count > state.capacity else { return }
      let capacity = max(count, state.capacity * 2, 64)
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

  override var kind: String { "map" }

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

  override var showsAtOnce: Bool { false }
}
