// How the items of a map are cut into records.

/// How many items to put into a record, and how many records a worker may have.
struct ChunkSizing {
  /// A record's arguments should fit into a quarter of the ring.
  static let byteLimit = 48 * 1024
  /// Long enough that a record's cost does not count, short enough to share the work evenly.
  private static let chunkNanoseconds = 250_000
  /// While much is left: waking the caller for the next record takes some 40 us from the workers.
  private static let largeChunkNanoseconds = 16_000_000
  private static let queueNanoseconds = 500_000
  /// Beside this the time to refill an idle worker does not count.
  private static let longNanoseconds = 2_000_000
  private static let countLimit = 1 << 20

  let setting: ProcessPool.Configuration.ChunkSize
  let workers: Int
  /// Items that the input still has at least, 0 when that is not known.
  var remaining: Int
  let isLengthKnown: Bool
  /// Results are wanted one by one, soon.
  var isStream = false
  /// So many items of a record at most, whatever the setting.
  var limit = Int.max

  func chunk(itemTime: Int?, window: Int?) -> Int {
    var size = min(wanted(itemTime), limit)
    // Every worker is to have a part of the window.
    if let window { size = min(size, max(1, window / workers)) }
    return size
  }

  private func wanted(_ itemTime: Int?) -> Int {
    if case .fixed(let size) = setting { return size }
    // The first records measure.
    guard let itemTime else { return 1 }
    var size = max(1, Self.chunkNanoseconds / itemTime)
    if isLengthKnown, !isStream {
      size = max(size, min(remaining / (8 * workers), Self.largeChunkNanoseconds / itemTime))
    }
    size = min(size, Self.countLimit)
    // Smaller towards the end, so that the workers finish together (guided self-scheduling).
    if isLengthKnown { size = min(size, max(1, remaining / (3 * workers))) }
    return size
  }

  func depth(chunk: Int, itemTime: Int?) -> Int {
    // A long record keeps nothing waiting behind it: another worker may be free first.
    guard let itemTime, itemTime < Self.longNanoseconds else { return 1 }
    var depth = min(max(2, Self.queueNanoseconds / itemTime / chunk), 512)
    if isLengthKnown { depth = min(depth, max(2, remaining / (2 * workers) / chunk)) }
    return depth
  }
}
