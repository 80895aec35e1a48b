// What a pool tells of its work: a ledger of items, and where the workers' time and bytes went.

extension ProcessPool {
  /// The pool's ledger. At every instant submitted = succeeded + failed + cancelled + crashed + pending.
  public struct Statistics: Sendable, Hashable {
    public var submitted = 0
    public var succeeded = 0
    /// A timeout counts here.
    public var failed = 0
    public var cancelled = 0
    public var crashed = 0
    public var pending = 0
    /// Workers that were started in place of one that died.
    public var restarts = 0
    /// Attempts beyond the first, as `Configuration.retry` allows.
    public var retries = 0
    /// How the items of maps and streams were cut into records.
    public var chunkSizes = ChunkSizes()
    /// By index, every index that has had a worker. In serial mode the application is the only one.
    public var workers: [Worker] = []

    /// How many items travelled in one record. What is sent again after a failure counts once.
    public struct ChunkSizes: Sendable, Hashable {
      /// Of the smallest record; nil: nothing was sent.
      public internal(set) var smallest: Int?
      public internal(set) var largest: Int?
      /// A histogram by powers of two: `counts[n]` records had 2ⁿ items or more, and fewer than 2ⁿ⁺¹. It ends with
      /// the largest.
      public internal(set) var counts: [Int] = []

      /// Counts so many records of `size` items.
      mutating func add(_ size: Int, records: Int) {
        guard size > 0, records > 0 else { return }
        smallest = min(smallest ?? size, size)
        largest = max(largest ?? size, size)
        let place = Int.bitWidth - 1 - size.leadingZeroBitCount
        while counts.count <= place { counts.append(0) }
        counts[place] += records
      }
    }

    /// The worker with one index, and those whose place it took.
    ///
    /// The three times add up to the time for which there was a process. Times are of the clock on the wall.
    public struct Worker: Sendable, Hashable, Identifiable {
      /// The worker's index.
      public var id: Int
      /// Processes that have served at this index.
      public var processCount = 0
      /// Items that ended with a value.
      public var taskCount = 0
      /// From the start of the process until it was ready, `Configuration.onWorkerStart` included.
      public var startUpTime = Duration.zero
      /// Time without anything to do, or without room for results. Waits of less than some microseconds, for
      /// which a worker spins, count as work.
      public var waitingTime = Duration.zero
      /// The rest: bodies, decoding, encoding.
      public var workingTime = Duration.zero
      /// Bytes of encoded arguments that were copied into memory that the worker maps.
      public var argumentByteCount = 0
      /// Bytes of encoded results that the worker put there.
      public var resultByteCount = 0
      /// Those of the two that were too large for a ring: placed in a segment of their own, and read where they
      /// lie.
      public var largeByteCount = 0
      /// Bytes of `SharedMemory` and `SharedArray` that the worker's arguments named: mapped, not copied. Each counts
      /// once for each process.
      public var sharedByteCount = 0
    }
  }
}

extension ProcessPool.Statistics.Worker {
  /// Adds what another process did in the same place.
  mutating func add(_ other: Self) {
    processCount += other.processCount
    taskCount += other.taskCount
    startUpTime += other.startUpTime
    waitingTime += other.waitingTime
    workingTime += other.workingTime
    argumentByteCount += other.argumentByteCount
    resultByteCount += other.resultByteCount
    largeByteCount += other.largeByteCount
    sharedByteCount += other.sharedByteCount
  }
}
