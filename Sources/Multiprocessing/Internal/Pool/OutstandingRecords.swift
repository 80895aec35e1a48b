// What a worker has been sent and has not given back.

/// Records in the order of their numbers. Taking the first costs nothing but a counter.
struct OutstandingRecords {
  struct Entry {
    var number: UInt64
    /// Where the record begins and ends in the submission ring.
    var start: UInt64
    var end: UInt64
    var submission: Submission
    /// Items whose results have come.
    var received = 0
    var arenaOffset: UInt64?
  }

  private var entries: [Entry] = []
  private var front = 0

  var count: Int { entries.count - front }
  var isEmpty: Bool { front == entries.count }
  var all: ArraySlice<Entry> { entries[front...] }

  /// The one that the worker answers next; there must be one.
  var first: Entry {
    get { entries[front] }
    _modify { yield &entries[front] }
  }

  mutating func append(_ entry: Entry) { entries.append(entry) }

  mutating func removeFirst() {
    front += 1
    if front == entries.count {
      entries.removeAll(keepingCapacity: true)
      front = 0
    } else if front > 1024, front > entries.count / 2 {
      entries.removeFirst(front)
      front = 0
    }
  }
}
