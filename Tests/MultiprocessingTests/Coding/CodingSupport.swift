// What the tests of the coder share: encoding to and decoding from an array of bytes, and a seeded
// source of randomness so that a failure can be repeated.

import Testing

@testable import Multiprocessing

/// The bytes of a value, written into a region of `regionByteCount` bytes and beyond.
func encoded<T: Encodable>(
  _ value: T, regionByteCount: Int = 64, context: TransferContext? = nil
) throws -> [UInt8] {
  let region = UnsafeMutableRawBufferPointer.allocate(byteCount: regionByteCount, alignment: 8)
  defer { unsafe region.deallocate() }
  var writer = unsafe ByteWriter(region: region)
  try ValueCoding.encode(value, into: &writer, context: context)
  return unsafe writer.withBytes { unsafe [UInt8]($0) }
}

/// The value in `bytes`, which must end where the value ends.
func decoded<T: Decodable>(
  _ type: T.Type, from bytes: [UInt8], context: TransferContext? = nil
) throws -> T {
  try unsafe bytes.withUnsafeBytes { bytes in
    var reader = unsafe ByteReader(bytes)
    let value = try ValueCoding.decode(type, from: &reader, context: context)
    #expect(reader.isAtEnd, "\(reader.remaining) bytes are left after \(type)")
    return value
  }
}

func roundTrip<T: Codable>(_ value: T) throws -> T {
  try decoded(T.self, from: encoded(value))
}

/// The bytes of a number as they lie in the memory of the machines this runs on.
func littleEndian<I: FixedWidthInteger & BitwiseCopyable>(_ value: I) -> [UInt8] {
  unsafe withUnsafeBytes(of: value) { unsafe [UInt8]($0) }
}

/// Expects that a value arrives as it was sent, also inside other values and when the output
/// outgrows the region it was given.
func expectRoundTrip<T: Codable & Equatable>(
  _ value: T, sourceLocation: SourceLocation = #_sourceLocation
) throws {
  #expect(try roundTrip(value) == value, sourceLocation: sourceLocation)
  #expect(try roundTrip([value, value]) == [value, value], sourceLocation: sourceLocation)
  #expect(try roundTrip(value as T?) == value, sourceLocation: sourceLocation)
  #expect(try roundTrip(T?.none) == nil, sourceLocation: sourceLocation)
  #expect(try roundTrip(["a": value]) == ["a": value], sourceLocation: sourceLocation)
  let held = Holder(before: "before", value: value, optional: value, none: nil, after: [1, 2])
  #expect(try roundTrip(held) == held, sourceLocation: sourceLocation)
  let bytes = try encoded(held)
  for regionByteCount in [0, 1, bytes.count - 1, bytes.count] {
    #expect(
      try decoded(Holder<T>.self, from: encoded(held, regionByteCount: regionByteCount)) == held,
      sourceLocation: sourceLocation)
  }
}

struct Holder<Value: Codable & Equatable>: Codable, Equatable {
  var before: String
  var value: Value
  var optional: Value?
  var none: Value?
  var after: [Int]
}

/// SplitMix64, so that a test's seed names its input.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) {
    state = seed
  }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
