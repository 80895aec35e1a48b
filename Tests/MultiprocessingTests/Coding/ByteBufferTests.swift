// The output and input buffers below the coder.

import Testing

@testable import Multiprocessing

@Suite("Byte buffers keep to their memory")
struct ByteBufferTests {
  @Test("a writer stays in its region until that is full, and never writes beyond it")
  func region() throws {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 32, alignment: 8)
    defer { unsafe memory.deallocate() }
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0xEE)
    var writer = unsafe ByteWriter(region: UnsafeMutableRawBufferPointer(rebasing: memory[..<16]))
    writer.appendValue(UInt64(1))
    writer.appendValue(UInt64(2))
    #expect(writer.count == 16 && !writer.isSpilled)
    let start = UnsafeRawPointer(memory.baseAddress)
    let isInPlace = unsafe writer.withBytes { unsafe $0.baseAddress == start }
    #expect(isInPlace)
    writer.appendValue(UInt8(3))
    #expect(writer.count == 17 && writer.isSpilled)
    let bytes = unsafe writer.withBytes { unsafe [UInt8]($0) }
    #expect(bytes == [1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3])
    let beyond = unsafe Array(memory[16...])
    #expect(beyond == Array(repeating: 0xEE, count: 16))
  }

  @Test("a writer without a region keeps everything it is given")
  func growing() throws {
    var writer = unsafe ByteWriter(region: UnsafeMutableRawBufferPointer(start: nil, count: 0))
    #expect(writer.count == 0 && !writer.isSpilled)
    for number in 0..<10_000 { writer.appendValue(number) }
    let numbers = unsafe writer.withBytes { unsafe Array($0.bindMemory(to: Int.self)) }
    #expect(numbers == Array(0..<10_000))
  }

  @Test("truncating forgets the end only")
  func truncating() throws {
    var writer = unsafe ByteWriter(region: UnsafeMutableRawBufferPointer(start: nil, count: 0))
    writer.appendValue(UInt16(0x0201))
    writer.appendValue(UInt16(0xFFFF))
    writer.truncate(to: 2)
    writer.appendValue(UInt8(3))
    let bytes = unsafe writer.withBytes { unsafe [UInt8]($0) }
    #expect(bytes == [1, 2, 3])
  }

  @Test("a reader reads at any alignment and refuses to read beyond its end")
  func reading() throws {
    let bytes: [UInt8] = [9, 1, 0, 0, 0, 0, 0, 0, 0, 7]
    try unsafe bytes.withUnsafeBytes { bytes in
      var reader = unsafe ByteReader(bytes)
      let first = try reader.readValue(as: UInt8.self)
      let second = try reader.readValue(as: UInt64.self)
      #expect(first == 9 && second == 1 && reader.remaining == 1)
      #expect(throws: DecodingError.self) { _ = try reader.readValue(as: UInt16.self) }
      #expect(throws: DecodingError.self) { _ = unsafe try reader.read(-1) }
      #expect(reader.remaining == 1)
      let last = try unsafe Array(reader.read(1))
      #expect(last == [7] && reader.isAtEnd)
      _ = try reader.readValue(as: Empty.self)
      #expect(throws: DecodingError.self) { _ = try reader.readValue(as: UInt8.self) }
    }
  }

  @Test("a value that cannot be encoded leaves nothing behind")
  func failure() throws {
    var writer = unsafe ByteWriter(region: UnsafeMutableRawBufferPointer(start: nil, count: 0))
    try ValueCoding.encode("kept", into: &writer, context: nil)
    let count = writer.count
    do {
      try ValueCoding.encode(["lost": Handle(number: 1)], into: &writer, context: nil)
      Issue.record("a handle was encoded outside a transfer")
    } catch is EncodingError {}
    #expect(writer.count == count)
  }
}
