// Bytes that another process has damaged give a value or a thrown error: never a trap, a read
// outside the input, or an allocation that the input could not fill.

import Foundation
import Testing

@testable import Multiprocessing

@Suite("Damaged input is refused, not followed")
struct MalformedInputTests {
  @Test("an encoding that ends early throws, wherever it ends")
  func truncated() throws {
    func check<T: Codable>(_ value: T) throws {
      let bytes = try encoded(value)
      for count in bytes.indices {
        #expect(throws: DecodingError.self, "\(count) of \(bytes.count) bytes of \(T.self)") {
          try decoded(T.self, from: Array(bytes[..<count]))
        }
      }
    }
    try check(5)
    try check(true)
    try check(Point(x: 1, y: 2))
    try check("a string")
    try check([1, 2, 3])
    try check(["a", "b"])
    try check([Person.example, .example])
    try check(["a": Shape.group([.circle(radius: 1), .named("x", sides: [1])])])
    try check(Tree.node(.node(.leaf, "a", .leaf), "b", .leaf))
    try check(Date())
    try check([1: "one"])
  }

  @Test("a hundred thousand damaged encodings only throw or give a value")
  func fuzz() throws {
    var generator = SeededGenerator(seed: 20_260_207)
    let cases: [Case] = try [
      Case(Person.example), Case([Person.example, .example]), Case(["a": 1, "b": 2]),
      Case(["a", "bc", ""]), Case([1, 2, 3]), Case([[1.0], [], [2, 3]]), Case([1: ["x"], 2: []]),
      Case(Shape.group([.named("n", sides: [1, 2]), .nothing, .circle(radius: 3)])),
      Case(Tree.node(.node(.leaf, "a", .leaf), "b", .leaf)), Case([true, false]),
      Case(Derived(base: "b", own: "o")), Case(UnkeyedDerived(base: "b", own: "o")),
      Case(Set(["a", "b"])), Case(["a", nil, "b"]), Case(Data([1, 2, 3])), Case(Decimal(1.5)),
      Case([Empty(), Empty()]), Case(ReadOneByOne(elements: [1, 2, 3])), Case("text"), Case(true),
    ]
    var thrown = 0
    for round in 0..<100_000 {
      let chosen = cases[round % cases.count]
      let bytes = mutate(chosen.bytes, &generator)
      if !chosen.decodes(bytes) { thrown += 1 }
    }
    // Most damage is noticed; if none were, the loop would not be testing anything.
    #expect(thrown > 50_000 && thrown < 100_000)
  }

  @Test("counts that the input cannot hold are refused before memory is asked for")
  func hugeCounts() throws {
    func check<T: Codable>(_ value: T) throws {
      let bytes = try encoded(value)
      for offset in 0..<max(0, bytes.count - 8) {
        for huge in [Int.max, Int.min, -1, 1 << 40, 1 << 62, Int.max / 8 + 1] {
          var damaged = bytes
          damaged.replaceSubrange(offset..<offset + 8, with: littleEndian(huge))
          _ = try? decoded(T.self, from: damaged)
        }
      }
    }
    try check([1, 2, 3])
    try check([Point(x: 1, y: 2)])
    try check([Empty()])
    try check(["a", "b"])
    try check([[1], [2]])
    try check(Set([1, 2]))
    try check(["a": 1])
    try check(Data([1, 2]))
    try check(Person.example)
  }

  @Test("a count of elements that does not match their bytes is refused")
  func wrongCounts() throws {
    var bytes = try encoded([1, 2, 3])
    let countOffset = SlotLayout.header + 1
    #expect(bytes[countOffset] == 3)
    for count in [0, 1, 2, 4, 24, 255] as [UInt8] {
      bytes[countOffset] = count
      #expect(throws: DecodingError.self) { try decoded([Int].self, from: bytes) }
    }
  }

  @Test("a Bool that is neither 0 nor 1 is refused")
  func damagedBool() throws {
    struct Flags: Codable { var text = "", flag = true, list = [true] }
    #expect(throws: DecodingError.self) { try decoded(Bool.self, from: [2]) }
    var bytes = try encoded([true, false])
    bytes[bytes.count - 1] = 2
    #expect(throws: DecodingError.self) { try decoded([Bool].self, from: bytes) }
    #expect(throws: DecodingError.self) { try decoded(ReadOneByOne<Bool>.self, from: bytes) }
    var flags = try encoded(Flags())
    let name = Array("flag".utf8)
    let flag = try #require(flags.indices.first { flags[$0...].starts(with: name) })
    #expect(flags[flag + 5] == 1)
    flags[flag + 5] = 255
    #expect(throws: DecodingError.self) { try decoded(Flags.self, from: flags) }
  }

  @Test("bytes that are not UTF-8 make no string")
  func damagedText() throws {
    var bytes = try encoded("aé")
    bytes[bytes.count - 1] = 0x41
    #expect(throws: DecodingError.self) { try decoded(String.self, from: bytes) }
  }

  @Test("an encoding of one type is refused by another")
  func otherType() throws {
    #expect(throws: DecodingError.self) { try decoded([Int].self, from: encoded("text")) }
    #expect(throws: DecodingError.self) { try decoded(String.self, from: encoded([1])) }
    #expect(throws: DecodingError.self) { try decoded([Float].self, from: encoded(["a"])) }
    #expect(throws: DecodingError.self) { try decoded(Person.self, from: encoded(["name"])) }
    #expect(throws: DecodingError.self) { try decoded([Padded].self, from: encoded([1, 2])) }
  }
}

/// An encoding and how to try to decode it.
private struct Case {
  let bytes: [UInt8]
  let decodes: ([UInt8]) -> Bool

  init<T: Codable>(_ value: T) throws {
    bytes = try encoded(value)
    decodes = { bytes in
      unsafe bytes.withUnsafeBytes { bytes in
        var reader = unsafe ByteReader(bytes)
        return (try? ValueCoding.decode(T.self, from: &reader, context: nil)) != nil
      }
    }
  }
}

/// Flips bits, overwrites, cuts, repeats or removes some bytes.
private func mutate(_ bytes: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
  var bytes = bytes
  for _ in 0..<Int.random(in: 1...3, using: &generator) where !bytes.isEmpty {
    let index = Int.random(in: bytes.indices, using: &generator)
    switch Int.random(in: 0..<6, using: &generator) {
    case 0: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
    case 1: bytes[index] = UInt8.random(in: 0...255, using: &generator)
    case 2: bytes[index] = UInt8.random(in: 0...20, using: &generator)
    case 3: bytes.removeSubrange(index...)
    case 4: bytes.insert(contentsOf: bytes[index...].prefix(9), at: index)
    default: bytes.removeSubrange(index..<min(bytes.count, index + 4))
    }
  }
  return bytes
}
