// ByteReader reads from bytes it borrows. Every read is checked against the end, so no input makes
// it trap or read outside; what is missing is a thrown DecodingError.

/// A cursor over borrowed bytes, which must stay valid as long as the reader is used.
@safe
struct ByteReader {
  /// The bytes from the cursor to the end.
  private(set) var unread: UnsafeRawBufferPointer

  init(_ bytes: UnsafeRawBufferPointer) {
    unsafe unread = bytes
  }

  var remaining: Int { unsafe unread.count }
  var isAtEnd: Bool { remaining == 0 }

  /// The next `byteCount` bytes; throws `DecodingError` when there are fewer.
  @inline(__always)
  mutating func read(_ byteCount: Int) throws -> UnsafeRawBufferPointer {
    guard byteCount >= 0, byteCount <= remaining else {
      throw Self.endedEarly(byteCount, remaining)
    }
    let bytes = unsafe UnsafeRawBufferPointer(rebasing: unread[..<byteCount])
    unsafe unread = UnsafeRawBufferPointer(rebasing: unread[byteCount...])
    return unsafe bytes
  }

  /// The next bytes as a value for which `ValueCoding.isBytes` holds, at any alignment.
  @inline(__always)
  mutating func readValue<T>(as type: T.Type) throws -> T {
    let byteCount = MemoryLayout<T>.size
    guard byteCount <= remaining else { throw Self.endedEarly(byteCount, remaining) }
    // A value without content may be read where there are no bytes, and then from any address.
    let start = unsafe unread.baseAddress ?? Self.placeholder
    unsafe unread = UnsafeRawBufferPointer(start: start + byteCount, count: remaining - byteCount)
    // Copying from an aligned address is one call where the type is not known at compile time; the
    // other way goes through a temporary.
    if UInt(bitPattern: start) & UInt(MemoryLayout<T>.alignment - 1) == 0 {
      return unsafe start.assumingMemoryBound(to: T.self).pointee
    }
    return unsafe start.loadUnaligned(as: T.self)
  }

  private static var placeholder: UnsafeRawPointer {
    unsafe UnsafeRawPointer(bitPattern: 64)!  // 64 is not null.
  }

  @inline(never)
  private static func endedEarly(_ wanted: Int, _ remaining: Int) -> DecodingError {
    .dataCorrupted(
      DecodingError.Context(
        codingPath: [],
        debugDescription: "\(wanted) bytes are needed where \(remaining) are left"))
  }
}
