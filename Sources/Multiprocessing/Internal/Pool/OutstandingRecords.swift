// What a worker has been sent and has not given back.

/// A queue of records in the order of their numbers, in a circle of slots that doubles when it is full.
///
/// The slots are memory of its own, and the first record is looked at in place: copying one out of an array
/// costs more than all else that is done with it.
@safe
struct OutstandingRecords: ~Copyable {
  struct Entry {
    var number: UInt64
    /// Where the record begins and ends in the submission ring.
    var start: UInt64
    var end: UInt64
    var submission: Submission
    /// Items whose results have come.
    var received = 0
    var arenaOffset: UInt64?
    /// It was told to end because its time is over.
    var isTimedOut = false
  }

  /// Its size is a power of two.
  private var slots: UnsafeMutableBufferPointer<Entry>
  /// Positions of the first record and behind the last one; a slot is the position modulo the size.
  private var front = 0
  private var end = 0

  init() {
    unsafe slots = .allocate(capacity: 16)
  }

  deinit {
    for position in front..<end { unsafe slots.deinitializeElement(at: slot(position)) }
    unsafe slots.deallocate()
  }

  var count: Int { end - front }
  var isEmpty: Bool { front == end }
  var all: [Entry] { (front..<end).map { unsafe slots[slot($0)] } }

  /// The one that the worker answers next; there must be one.
  var first: Entry {
    unsafeAddress { unsafe UnsafePointer(pointerToFirst) }
    unsafeMutableAddress { unsafe pointerToFirst }
  }

  mutating func append(_ entry: Entry) {
    if unsafe count == slots.count { grow() }
    unsafe slots.initializeElement(at: slot(end), to: entry)
    end += 1
  }

  mutating func removeFirst() {
    unsafe pointerToFirst.deinitialize(count: 1)
    front += 1
  }

  private var pointerToFirst: UnsafeMutablePointer<Entry> {
    precondition(!isEmpty, "no record is outstanding")
    return unsafe slots.baseAddress! + slot(front)  // There always are slots.
  }

  private func slot(_ position: Int) -> Int { unsafe position & (slots.count - 1) }

  private mutating func grow() {
    let larger = unsafe UnsafeMutableBufferPointer<Entry>.allocate(capacity: 2 * slots.count)
    for position in front..<end {
      let entry = unsafe slots.moveElement(from: slot(position))
      unsafe larger.initializeElement(at: position & (larger.count - 1), to: entry)
    }
    unsafe slots.deallocate()
    unsafe slots = larger
  }
}
