// Values of every shape that a synthesised conformance makes, and those of the standard library and
// Foundation, arrive as they were sent.

import Foundation
import Testing

@testable import Multiprocessing

@Suite("Values that cross arrive as they were sent")
struct RoundTripTests {
  @Test("standard numbers arrive, at their limits too")
  func numbers() throws {
    try expectRoundTrip(Int.min)
    try expectRoundTrip(Int8.min)
    try expectRoundTrip(Int16.min)
    try expectRoundTrip(Int32.min)
    try expectRoundTrip(Int64.max)
    try expectRoundTrip(UInt.max)
    try expectRoundTrip(UInt8.max)
    try expectRoundTrip(UInt16.max)
    try expectRoundTrip(UInt32.max)
    try expectRoundTrip(UInt64.max)
    try expectRoundTrip(Int128.min)
    try expectRoundTrip(UInt128.max)
    try expectRoundTrip(-0.1 as Float)
    try expectRoundTrip(Double.greatestFiniteMagnitude)
    try expectRoundTrip(-Double.infinity)
    try expectRoundTrip(true)
    try expectRoundTrip(false)
  }

  @Test("a NaN keeps its payload and a zero its sign")
  func floatingPointBits() throws {
    let nan = Double(nan: 0x1234, signaling: false)
    #expect(try roundTrip([nan])[0].bitPattern == nan.bitPattern)
    #expect(try roundTrip(["a": -0.0])["a"]?.sign == .minus)
  }

  @Test(
    "strings arrive, whatever they are made of",
    arguments: ["", "a", "fifteen letters", "sixteen letters!", "naïve 日本 👨‍👩‍👧", "nul\0inside"])
  func strings(_ string: String) throws {
    try expectRoundTrip(string)
    try expectRoundTrip([string: string])
    try expectRoundTrip(String(repeating: string, count: 10_000))
  }

  @Test("collections of everything arrive")
  func collections() throws {
    try expectRoundTrip([Int]())
    try expectRoundTrip([1, 2, 3])
    try expectRoundTrip([true, false, true])
    try expectRoundTrip(["a", "", "c"])
    try expectRoundTrip([[1, 2], [], [3]])
    try expectRoundTrip([1, nil, 3] as [Int?])
    try expectRoundTrip(["a", nil] as [String?])
    try expectRoundTrip(Set(["a", "b", "c"]))
    try expectRoundTrip(Set(0..<100))
    try expectRoundTrip(["one": 1, "two": 2])
    try expectRoundTrip([1: "one", -2: "two"])
    try expectRoundTrip([Point(x: 1, y: 2): ["a"], Point(x: 3, y: 4): []])
    try expectRoundTrip([Suit.hearts: 1, .spades: 2])
    try expectRoundTrip(["outer": ["inner": [1, 2, 3]]])
    try expectRoundTrip(ContiguousArray(["a", "b"]))
    try expectRoundTrip(1..<5)
    try expectRoundTrip("a"..."c")
  }

  @Test("a value without content arrives, alone and in arrays")
  func empty() throws {
    try expectRoundTrip(Empty())
    #expect(try roundTrip([Empty](repeating: Empty(), count: 1000)).count == 1000)
    #expect(try roundTrip(EmptyClass()) !== EmptyClass())
  }

  @Test("optionals of optionals keep their depth")
  func nestedOptionals() throws {
    try expectRoundTrip(5 as Int??)
    try expectRoundTrip([.some(.none), .none, 5] as [Int??])
    try expectRoundTrip([.some(.some(.none)), .some(.none), .none, "a"] as [String???])
    try expectRoundTrip(["a": .some(.none), "b": .none] as [String: String??])
  }

  @Test("an optional that holds a value which is coded as null still holds it")
  func optionalNull() throws {
    try expectRoundTrip([Document.null, .text("a"), .list([.null])])
    try expectRoundTrip([Document.null, nil])
    try expectRoundTrip(Holder(before: "", value: Document.null, optional: .null, after: []))
  }

  @Test("plain structures and enumerations arrive")
  func plain() throws {
    try expectRoundTrip(Point(x: 1.5, y: -2))
    try expectRoundTrip(Padded(small: 1, large: 2, flag: true))
    try expectRoundTrip(Suit.hearts)
    try expectRoundTrip(Level.high)
    try expectRoundTrip(Plain.pair(1, 2))
    try expectRoundTrip([Point(x: 1, y: 2), Point(x: 3, y: 4)])
    try expectRoundTrip(Options([.first, .third]))
  }

  @Test("structures with references arrive")
  func structures() throws {
    try expectRoundTrip(Person.example)
    try expectRoundTrip([Person](repeating: .example, count: 100))
    try expectRoundTrip(Holder(before: "", value: Person.example, optional: nil, after: []))
  }

  @Test("enumerations with associated values arrive")
  func enumerations() throws {
    try expectRoundTrip(Shape.nothing)
    try expectRoundTrip(Shape.circle(radius: 2))
    try expectRoundTrip(Shape.named("square", sides: [1, 1, 1, 1]))
    try expectRoundTrip(Shape.group([.nothing, .circle(radius: 1), .group([])]))
    try expectRoundTrip(Tree.node(.node(.leaf, "a", .leaf), "b", .leaf))
  }

  @Test("classes arrive with what their superclasses hold")
  func classes() throws {
    for value in [Derived(base: "b", own: "o")] {
      let copy = try roundTrip(value)
      #expect(copy.base == "b" && copy.own == "o")
    }
    let sharing = try roundTrip(SharingDerived(base: "b", own: "o"))
    #expect(sharing.base == "b" && sharing.own == "o")
    let unkeyed = try roundTrip(UnkeyedDerived(base: "b", own: "o"))
    #expect(unkeyed.base == "b" && unkeyed.own == "o")
  }

  @Test("Foundation's values arrive")
  func foundation() throws {
    try expectRoundTrip(Date(timeIntervalSince1970: 1e9 + 0.25))
    try expectRoundTrip(Data((0..<1000).map { UInt8(truncatingIfNeeded: $0) }))
    try expectRoundTrip(Data())
    try expectRoundTrip(try #require(URL(string: "https://swift.org/a?b=c#d")))
    try expectRoundTrip(try #require(Decimal(string: "12345.678901234567890123")))
    try expectRoundTrip(UUID())
    try expectRoundTrip(DateComponents(year: 2026, month: 2))
    try expectRoundTrip(IndexSet([1, 2, 3, 10]))
    try expectRoundTrip(Locale(identifier: "de_CH"))
    try expectRoundTrip(Measurement(value: 2, unit: UnitLength.meters))
  }

  @Test("ten million numbers arrive")
  func large() throws {
    let numbers: [Int] = (0..<10_000_000).map { $0 &* 0x9E37_79B9 }
    #expect(try roundTrip(numbers) == numbers)
    let byteCount = try encoded(numbers).count
    #expect(byteCount < 80_000_100)
  }

  @Test("several values in one output arrive in order")
  func sequence() throws {
    var writer = unsafe ByteWriter(region: UnsafeMutableRawBufferPointer(start: nil, count: 0))
    try ValueCoding.encode(7, into: &writer, context: nil)
    try ValueCoding.encode("seven", into: &writer, context: nil)
    try ValueCoding.encode(Person.example, into: &writer, context: nil)
    try ValueCoding.encode([7.0], into: &writer, context: nil)
    try unsafe writer.withBytes { bytes in
      var reader = unsafe ByteReader(bytes)
      let number = try ValueCoding.decode(Int.self, from: &reader, context: nil)
      let text = try ValueCoding.decode(String.self, from: &reader, context: nil)
      let person = try ValueCoding.decode(Person.self, from: &reader, context: nil)
      let numbers = try ValueCoding.decode([Double].self, from: &reader, context: nil)
      #expect(number == 7)
      #expect(text == "seven")
      #expect(person == .example)
      #expect(numbers == [7])
      #expect(reader.isAtEnd)
    }
  }

  @Test("values without references take exactly their own bytes")
  func plainSize() throws {
    #expect(try encoded(5).count == 8)
    #expect(try encoded(Point(x: 1, y: 2)).count == 16)
    #expect(ValueCoding.isBytes(Point.self))
    #expect(!ValueCoding.isBytes(String.self))
    #expect(!ValueCoding.isBytes(EmptyClass.self))
  }
}

// MARK: - Values

struct Empty: Codable, Equatable {}
final class EmptyClass: Codable {}

struct Point: Codable, Hashable {
  var x: Double
  var y: Double
}

struct Padded: Codable, Equatable {
  var small: UInt8
  var large: Int
  var flag: Bool
}

enum Suit: String, Codable { case hearts, spades }
enum Level: Int, Codable {
  case low = 10
  case high = 2000
}

enum Plain: Codable, Equatable {
  case none
  case pair(Int, Int)
}

struct Options: OptionSet, Codable {
  var rawValue: Int
  static let first = Options(rawValue: 1)
  static let third = Options(rawValue: 4)
}

struct Person: Codable, Equatable {
  var name: String
  var age: Int
  var isMember: Bool
  var address: Address
  var nicknames: [String]
  var scores: [String: [Double]]
  var suit: Suit
  var position: Point
  var friend: String?
  var luck: Int?

  struct Address: Codable, Equatable {
    var street: String
    var number: UInt16
  }

  static let example = Person(
    name: "Ada", age: 36, isMember: true, address: Address(street: "St James's Square", number: 12),
    nicknames: ["Countess", ""], scores: ["mathematics": [1, 0.5], "poetry": []], suit: .spades,
    position: Point(x: 1, y: 2), friend: "Charles", luck: nil)
}

enum Shape: Codable, Equatable {
  case nothing
  case circle(radius: Double)
  case named(String, sides: [Int])
  indirect case group([Shape])
}

/// Like the types that mirror JSON.
enum Document: Codable, Equatable {
  case null
  case text(String)
  case list([Document])

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let text = try? container.decode(String.self) {
      self = .text(text)
    } else {
      self = .list(try container.decode([Document].self))
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .null: try container.encodeNil()
    case .text(let text): try container.encode(text)
    case .list(let list): try container.encode(list)
    }
  }
}

indirect enum Tree: Codable, Equatable {
  case leaf
  case node(Tree, String, Tree)
}

class Base: Codable {
  var base: String

  init(base: String) {
    self.base = base
  }
}

final class Derived: Base {
  var own: String

  init(base: String, own: String) {
    self.own = own
    super.init(base: base)
  }

  required init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Keys.self)
    own = try container.decode(String.self, forKey: .own)
    try super.init(from: container.superDecoder())
  }

  override func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Keys.self)
    try super.encode(to: container.superEncoder())
    try container.encode(own, forKey: .own)
  }

  private enum Keys: CodingKey { case own }
}

/// Shares its superclass's container instead of asking for one of its own.
final class SharingDerived: Base {
  var own: String

  init(base: String, own: String) {
    self.own = own
    super.init(base: base)
  }

  required init(from decoder: any Decoder) throws {
    own = try decoder.container(keyedBy: Keys.self).decode(String.self, forKey: .own)
    try super.init(from: decoder)
  }

  override func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Keys.self)
    try super.encode(to: encoder)
    try container.encode(own, forKey: .own)
  }

  private enum Keys: CodingKey { case own }
}

final class UnkeyedDerived: Base {
  var own: String

  init(base: String, own: String) {
    self.own = own
    super.init(base: base)
  }

  required init(from decoder: any Decoder) throws {
    var container = try decoder.unkeyedContainer()
    let parent = try container.superDecoder()
    own = try container.decode(String.self)
    try super.init(from: parent)
  }

  override func encode(to encoder: any Encoder) throws {
    var container = encoder.unkeyedContainer()
    let parent = container.superEncoder()
    try container.encode(own)
    try super.encode(to: parent)
  }
}
