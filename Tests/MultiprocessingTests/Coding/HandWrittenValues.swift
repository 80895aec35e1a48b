// The conformances that HandWrittenTests.swift is about. Types without stored properties are
// classes: an empty structure would travel as its bytes, of which there are none.

@testable import Multiprocessing

struct AnyKey: CodingKey, Hashable {
  var stringValue: String
  var intValue: Int? { nil }

  init(_ name: String) {
    stringValue = name
  }

  init?(stringValue: String) {
    self.init(stringValue)
  }

  init?(intValue: Int) {
    nil
  }
}

struct Written: Encodable {
  var values = ["a": "a", "b": "b", "c": "c", "d": "d", "e": "e", "f": "f"]

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: AnyKey.self)
    for (name, value) in values.sorted(by: { $0.key < $1.key }) {
      try container.encode(value, forKey: AnyKey(name))
    }
  }
}

struct ReadBackwards: Decodable {
  var values: [String] = []

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: AnyKey.self)
    for name in ["f", "e", "d", "c", "b", "a"] {
      values.append(try container.decode(String.self, forKey: AnyKey(name)))
    }
  }
}

struct ReadSome: Decodable {
  var c: String
  var absent: Int?
  var names: [String]

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: AnyKey.self)
    absent = try container.decodeIfPresent(Int.self, forKey: AnyKey("absent"))
    c = try container.decode(String.self, forKey: AnyKey("c"))
    names = container.allKeys.map(\.stringValue)
    if container.contains(AnyKey("absent")) || !container.contains(AnyKey("a")) { names = [] }
  }
}

struct ReadShuffled: Decodable {
  var values: [String: String] = [:]

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: AnyKey.self)
    var generator = SeededGenerator(seed: 1)
    for key in container.allKeys.shuffled(using: &generator) {
      values[key.stringValue] = try container.decode(String.self, forKey: key)
    }
  }
}

final class Interleaved: Encodable {
  struct Copy: Decodable, Equatable {
    var first: [String: String]
    var second: [String]
    var third: [String: String]
    var last: String
    var plain: String
  }

  func encode(to encoder: any Encoder) throws {
    var outer = encoder.container(keyedBy: AnyKey.self)
    var first = outer.nestedContainer(keyedBy: AnyKey.self, forKey: AnyKey("first"))
    var second = outer.nestedUnkeyedContainer(forKey: AnyKey("second"))
    let third = outer.superEncoder(forKey: AnyKey("third"))
    let last = outer.superEncoder(forKey: AnyKey("last"))
    try first.encode("1", forKey: AnyKey("x"))
    try second.encode("2")
    try outer.encode("3", forKey: AnyKey("plain"))
    try first.encode("4", forKey: AnyKey("y"))
    try second.encode("5")
    try ["s": "6"].encode(to: third)
    try "7".encode(to: last)
  }
}

final class Repeated: Encodable {
  static let expected = Dictionary(
    uniqueKeysWithValues: (0..<100).map { ("\($0)", $0 % 3 == 0 ? "again" : "once") })

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: AnyKey.self)
    for number in 0..<100 {
      try container.encode("once", forKey: AnyKey("\(number)"))
      if number % 6 == 0 { try container.encode("again", forKey: AnyKey("\(number)")) }
    }
    for number in 0..<100 where number % 3 == 0 {
      try container.encode("again", forKey: AnyKey("\(number)"))
    }
  }
}

final class KeyCount: Decodable {
  var count: Int

  init(from decoder: any Decoder) throws {
    count = try decoder.container(keyedBy: AnyKey.self).allKeys.count
  }
}

final class Reopened: Encodable {
  func encode(to encoder: any Encoder) throws {
    var outer = encoder.container(keyedBy: AnyKey.self)
    var inner = outer.nestedContainer(keyedBy: AnyKey.self, forKey: AnyKey("inner"))
    try inner.encode("1", forKey: AnyKey("a"))
    _ = outer.nestedContainer(keyedBy: AnyKey.self, forKey: AnyKey("other"))
    var again = outer.nestedContainer(keyedBy: AnyKey.self, forKey: AnyKey("inner"))
    try again.encode("2", forKey: AnyKey("b"))
  }
}

final class Recovering: Encodable {
  struct Refusal: Error {}

  final class Refusing: Encodable {
    func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: AnyKey.self)
      var nested = container.nestedUnkeyedContainer(forKey: AnyKey("nested"))
      try nested.encode("lost")
      throw Refusal()
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: AnyKey.self)
    try container.encode("1", forKey: AnyKey("a"))
    try? container.encode(Refusing(), forKey: AnyKey("refused"))
    try? container.encode([Refusing()], forKey: AnyKey("refused too"))
    try container.encode("2", forKey: AnyKey("b"))
  }
}

final class Nulls: Encodable {
  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: AnyKey.self)
    try container.encodeNil(forKey: AnyKey("number"))
    try container.encode(String?.none, forKey: AnyKey("word"))
    try container.encode("text", forKey: AnyKey("text"))
  }
}

struct NullsRead: Decodable {
  var wereNull: [Bool]

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: AnyKey.self)
    wereNull = try ["number", "word", "text"].map { try container.decodeNil(forKey: AnyKey($0)) }
  }
}

struct ReadOneByOne<Element: Codable>: Codable {
  var elements: [Element] = []

  init(elements: [Element]) {
    self.elements = elements
  }

  init(from decoder: any Decoder) throws {
    var container = try decoder.unkeyedContainer()
    while !container.isAtEnd {
      if try container.decodeNil() { continue }
      elements.append(try container.decode(Element.self))
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.unkeyedContainer()
    for element in elements { try container.encode(element) }
  }
}

final class LeavingOut: Encodable {
  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: AnyKey.self)
    try container.encode("a", forKey: AnyKey("a"))
    try container.encodeIfPresent(String?.none, forKey: AnyKey("a"))
    try container.encodeIfPresent(String?.none, forKey: AnyKey("b"))
    try container.encodeIfPresent([Int]?.none, forKey: AnyKey("c"))
    try container.encode("c", forKey: AnyKey("c"))
  }
}

final class LeftOut: Decodable {
  let names: [String]
  let containsB: Bool
  let b: String?
  let c: String

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: AnyKey.self)
    names = container.allKeys.map(\.stringValue)
    containsB = container.contains(AnyKey("b"))
    b = try container.decodeIfPresent(String.self, forKey: AnyKey("b"))
    c = try container.decode(String.self, forKey: AnyKey("c"))
  }
}

final class HandleContext: TransferContext {
  var sent: [Int] = []
}

/// Travels only within a transfer, as the handles of shared objects do.
final class Handle: Codable, Equatable {
  let number: Int

  init(number: Int) {
    self.number = number
  }

  init(from decoder: any Decoder) throws {
    guard decoder.userInfo[TransferContext.key] is HandleContext else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "not in a transfer"))
    }
    number = try decoder.singleValueContainer().decode(Int.self)
  }

  func encode(to encoder: any Encoder) throws {
    guard let context = encoder.userInfo[TransferContext.key] as? HandleContext else {
      throw EncodingError.invalidValue(
        self, .init(codingPath: encoder.codingPath, debugDescription: "not in a transfer"))
    }
    context.sent.append(number)
    var container = encoder.singleValueContainer()
    try container.encode(number)
  }

  static func == (left: Handle, right: Handle) -> Bool {
    left.number == right.number
  }
}

/// Keeps its containers beyond the coding they belong to.
final class Escape: Codable {
  private(set) var encoding: KeyedEncodingContainer<AnyKey>?
  private(set) var decoding: KeyedDecodingContainer<AnyKey>?

  init() {}

  init(from decoder: any Decoder) throws {
    decoding = try decoder.container(keyedBy: AnyKey.self)
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: AnyKey.self)
    try container.encode("a", forKey: AnyKey("a"))
    encoding = container
  }
}

struct PathWitness: Codable {
  var encodingPath = ""
  var decodingPath = ""

  init() {}

  init(from decoder: any Decoder) throws {
    encodingPath = try decoder.singleValueContainer().decode(String.self)
    decodingPath = decoder.codingPath.map(\.stringValue).joined(separator: "/")
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(encoder.codingPath.map(\.stringValue).joined(separator: "/"))
  }
}
