// The memory of a large message, on the receiver's side.

internal import CMultiprocessing
internal import Glibc

/// A memfd that a sender, and whoever had it before, can still write into.
struct ArrivedMemory {
  let descriptor: Int32
  /// Of the message.
  let byteCount: Int
  /// Of the memory that the receiver is to free; 0: it is used this once.
  let memoryByteCount: Int

  /// Calls `body` with the memory itself, which then is the sender's again. For memory that cannot be made shorter,
  /// and values that are read once.
  func withMapped<R>(_ body: (UnsafeRawBufferPointer) throws -> R) throws -> R {
    var base: UnsafeMutableRawPointer?
    var mappedCount = 0
    try check(
      unsafe mproc_map_shared(descriptor, max(byteCount, memoryByteCount), &base, &mappedCount),
      "mapping a message of \(byteCount) bytes")
    defer {
      if let base = unsafe base, let word = unsafe MessageMemory.word(base, memoryByteCount) {
        unsafe mproc_store_seq(word, 1)
      }
      _ = unsafe mproc_unmap(base, mappedCount)
    }
    return unsafe try body(UnsafeRawBufferPointer(start: base, count: byteCount))
  }

  /// Calls `body` with a copy, into which nobody writes. The memory is the sender's again before.
  func withCopy<R>(_ body: (UnsafeRawBufferPointer) throws -> R) throws -> R {
    // Else a number that is nonsense would ask for any amount of memory.
    guard byteCount <= mproc_file_size(descriptor) else { throw ProcessError.damagedOutcome }
    guard let copy = unsafe malloc(max(byteCount, 1)) else {
      throw ProcessError.noSharedMemory(byteCount, for: "a message")
    }
    defer { unsafe free(copy) }
    try check(
      unsafe mproc_read_all(descriptor, copy, byteCount), "reading a message of \(byteCount) bytes")
    if memoryByteCount > 0, mproc_memfd_is_sealed(descriptor) {
      unsafe try withMapped { _ in }
    }
    return unsafe try body(UnsafeRawBufferPointer(start: copy, count: byteCount))
  }
}
