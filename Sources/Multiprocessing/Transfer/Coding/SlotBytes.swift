// SlotBytes finds slots, entries and their parts in encoded bytes. All offsets are checked here, so
// that no input leads outside the bytes; the rest of the decoder uses only what this file returns.

internal import Glibc

/// Where a slot lies: `start` is its tag, `end` the byte after it.
struct SlotRange {
  var start: Int
  var end: Int
}

/// Encoded bytes, borrowed. Every function throws `DecodingError` when the bytes are not what they
/// should be, and none reads beyond its `limit`, which callers take from an enclosing slot.
@safe
struct SlotBytes {
  private let bytes: UnsafeRawBufferPointer

  init(_ bytes: UnsafeRawBufferPointer) {
    unsafe self.bytes = bytes
  }

  var count: Int { unsafe bytes.count }

  @inline(__always)
  func load<T: BitwiseCopyable>(_ type: T.Type, at offset: Int, limit: Int) throws -> T {
    guard offset >= 0, limit <= count, offset <= limit - MemoryLayout<T>.size else {
      throw Self.malformed("the bytes end inside a value")
    }
    return unsafe bytes.loadUnaligned(fromByteOffset: offset, as: T.self)
  }

  @inline(__always)
  func tag(at offset: Int, limit: Int) throws -> SlotTag {
    let byte = try load(UInt8.self, at: offset, limit: limit)
    guard let tag = SlotTag(checking: byte) else { throw Self.malformed("there is no tag \(byte)") }
    return tag
  }

  /// The slot at `offset`, which ends within `limit`.
  @inline(__always)
  func slot(at offset: Int, limit: Int) throws -> SlotRange {
    let tag = try tag(at: offset, limit: limit)
    if tag == .some { return try optional(at: offset, limit: limit) }
    var end = offset + 1
    if let byteCount = tag.fixedByteCount {
      end += byteCount
    } else {
      let byteCount = try load(Int.self, at: offset + 1, limit: limit)
      guard byteCount >= 0, byteCount <= limit - offset - SlotLayout.header else {
        throw Self.malformed("a value of \(byteCount) bytes does not fit")
      }
      end = offset + SlotLayout.header + byteCount
    }
    guard end <= limit else { throw Self.malformed("the bytes end inside a value") }
    return SlotRange(start: offset, end: end)
  }

  /// A slot that wraps another, which is null or wraps it in turn.
  private func optional(at offset: Int, limit: Int) throws -> SlotRange {
    var end = offset
    while try tag(at: end, limit: limit) == .some { end += 1 }
    guard try tag(at: end, limit: limit) == .null else {
      throw Self.malformed("an optional wraps a value that needs no wrapping")
    }
    return SlotRange(start: offset, end: end + 1)
  }

  /// The content of a slot that has a byte count. Its tag was read after the slot was found: somebody may have
  /// written another one meanwhile, which has none.
  @inline(__always)
  func content(of slot: SlotRange) throws -> Range<Int> {
    let start = slot.start + SlotLayout.header
    guard start <= slot.end else { throw Self.malformed("the bytes changed while they were read") }
    return start..<slot.end
  }

  /// The count word of a container and where its entries or elements lie. There are at most as many
  /// as there are bytes for them.
  func container(_ slot: SlotRange) throws -> (count: Int, content: Range<Int>) {
    let start = slot.start + SlotLayout.containerHeader
    let count = try load(Int.self, at: slot.start + SlotLayout.header, limit: slot.end)
    guard count >= 0, count <= slot.end - start else {
      throw Self.malformed("a container of \(count) values does not fit")
    }
    return (count, start..<slot.end)
  }

  /// An array slot: the tag of its elements, how many, and their bytes.
  func array(_ slot: SlotRange) throws -> (tag: SlotTag, count: Int, content: Range<Int>) {
    let start = slot.start + SlotLayout.header + SlotLayout.arrayHeader
    let tag = try tag(at: slot.start + SlotLayout.header, limit: slot.end)
    let count = try load(Int.self, at: slot.start + SlotLayout.header + 1, limit: slot.end)
    guard count >= 0, count <= slot.end - start else {
      throw Self.malformed("an array of \(count) elements does not fit")
    }
    return (tag, count, start..<slot.end)
  }

  /// The entry of a keyed container at `offset`: where its name and its slot lie.
  @inline(__always)
  func entry(at offset: Int, limit: Int) throws -> (name: Range<Int>, slot: SlotRange) {
    let byteCount = Int(try load(UInt32.self, at: offset, limit: limit))
    let start = offset + SlotLayout.nameHeader
    guard byteCount <= limit - start else {
      throw Self.malformed("a key of \(byteCount) bytes does not fit")
    }
    return (start..<start + byteCount, try slot(at: start + byteCount, limit: limit))
  }

  /// The bytes of a range that one of the functions above returned.
  @inline(__always)
  func slice(_ range: Range<Int>) -> UnsafeRawBufferPointer {
    unsafe UnsafeRawBufferPointer(rebasing: bytes[range])
  }

  /// Whether a range that one of the functions above returned holds exactly these characters.
  @inline(__always)
  func equals(_ range: Range<Int>, _ name: inout String) -> Bool {
    name.withUTF8 { name in
      guard name.count == range.count else { return false }
      let own = unsafe slice(range)
      guard let own = own.baseAddress, let other = name.baseAddress else { return true }
      return unsafe memcmp(own, other, name.count) == 0
    }
  }

  func string(_ range: Range<Int>) throws -> String {
    let bytes = unsafe UnsafeBufferPointer(
      start: slice(range).baseAddress?.assumingMemoryBound(to: UInt8.self), count: range.count)
    // Four times as fast as String(validating:as:) for short strings.
    guard let text = unsafe try? UTF8Span(validating: bytes.span) else {
      throw Self.malformed("the bytes of a string are not UTF-8")
    }
    return String(copying: text)
  }

  @inline(never)
  static func malformed(_ description: String) -> DecodingError {
    .dataCorrupted(DecodingError.Context(codingPath: [], debugDescription: description))
  }
}
