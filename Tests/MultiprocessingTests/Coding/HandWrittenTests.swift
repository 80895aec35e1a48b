// Conformances that are written by hand do what synthesised ones never do: read keys in another
// order, leave some out, hold several containers at once, write a key twice, read another type than
// they wrote.

import Foundation
import Testing

@testable import Multiprocessing

@Suite("Hand-written conformances keep their meaning")
struct HandWrittenTests {
  @Test("keys may be read in another order than they were written")
  func order() throws {
    let copy = try decoded(ReadBackwards.self, from: encoded(Written()))
    #expect(copy.values == ["f", "e", "d", "c", "b", "a"])
  }

  @Test("keys may be left out by the reader and missing for it")
  func skipping() throws {
    let copy = try decoded(ReadSome.self, from: encoded(Written()))
    #expect(copy.c == "c")
    #expect(copy.absent == nil)
    #expect(copy.names == ["a", "b", "c", "d", "e", "f"])
  }

  @Test("hundreds of keys may be read in any order")
  func manyKeys() throws {
    let numbers = Dictionary(uniqueKeysWithValues: (0..<500).map { ("key \($0)", "\($0)") })
    let copy = try decoded(ReadShuffled.self, from: encoded(Written(values: numbers)))
    #expect(copy.values == numbers)
  }

  @Test("nested containers may be filled in turn")
  func interleaved() throws {
    let expected = Interleaved.Copy(
      first: ["x": "1", "y": "4"], second: ["2", "5"], third: ["s": "6"], last: "7", plain: "3")
    #expect(try decoded(Interleaved.Copy.self, from: encoded(Interleaved())) == expected)
    #expect(
      try decoded([Interleaved.Copy].self, from: encoded([Interleaved(), Interleaved()]))
        == [expected, expected])
  }

  @Test("a key that is written twice has its last value")
  func repeated() throws {
    #expect(try decoded([String: String].self, from: encoded(Repeated())) == Repeated.expected)
    #expect(
      try decoded([[String: String]].self, from: encoded([Repeated(), Repeated()]))
        == [Repeated.expected, Repeated.expected])
    let entries = try decoded(KeyCount.self, from: encoded(Repeated()))
    #expect(entries.count == Repeated.expected.count)
  }

  @Test("a second request for a nested container continues the first")
  func reopened() throws {
    let copy = try decoded([String: [String: String]].self, from: encoded(Reopened()))
    #expect(copy == ["inner": ["a": "1", "b": "2"], "other": [:]])
  }

  @Test("an optional that is left out is not there, and does not end a value that is")
  func leftOut() throws {
    let bytes = try encoded(LeavingOut())
    #expect(try decoded([String: String].self, from: bytes) == ["a": "a", "c": "c"])
    let copy = try decoded(LeftOut.self, from: bytes)
    #expect(copy.names == ["a", "c"])
    #expect(!copy.containsB && copy.b == nil && copy.c == "c")
    struct Strict: Codable { var b: String?, c: String }
    #expect(throws: DecodingError.self) {
      try decoded(ReadBackwards.self, from: encoded(Strict(b: nil, c: "c")))
    }
  }

  @Test("a value that could not be encoded leaves its container as it was")
  func failureInside() throws {
    #expect(
      try decoded([String: String].self, from: encoded(Recovering())) == ["a": "1", "b": "2"])
  }

  @Test("a number may be read as another type that can hold it")
  func numbers() throws {
    struct Sent: Codable { var text = "", small: Int8 = 5, large = 300, real = 2.0, list = [1, 2] }
    struct Taken: Codable { var small: Int, large: UInt16, real: Int, list: [Double] }
    struct Wrong: Codable { var text = "", large: Int8 }
    let copy = try decoded(Taken.self, from: encoded(Sent()))
    #expect(copy.small == 5 && copy.large == 300 && copy.real == 2 && copy.list == [1, 2])
    #expect(throws: DecodingError.self) { try decoded(Wrong.self, from: encoded(Sent())) }
  }

  @Test("a raw value may be read as its enumeration, and the reverse")
  func rawValues() throws {
    struct Raw: Codable, Equatable { var text = "", suit: String, level: Int }
    struct Typed: Codable, Equatable { var text = "", suit: Suit, level: Level }
    let raw = Raw(suit: "spades", level: 2000)
    let typed = Typed(suit: .spades, level: .high)
    #expect(try decoded(Typed.self, from: encoded(raw)) == typed)
    #expect(try decoded(Raw.self, from: encoded(typed)) == raw)
    #expect(throws: DecodingError.self) {
      try decoded(Typed.self, from: encoded(Raw(suit: "swords", level: 10)))
    }
  }

  @Test("null, a value and an optional understand each other")
  func nulls() throws {
    struct Optionals: Codable { var text = "", number: Int?, word: String? }
    struct Values: Codable { var text = "", number: Int, word: String }
    let values = try decoded(Values.self, from: encoded(Optionals(number: 1, word: "a")))
    #expect(values.number == 1 && values.word == "a")
    let optionals = try decoded(Optionals.self, from: encoded(Nulls()))
    #expect(optionals.number == nil && optionals.word == nil)
    #expect(try decoded(NullsRead.self, from: encoded(Nulls())).wereNull == [true, true, false])
    #expect(throws: DecodingError.self) {
      try decoded(Values.self, from: encoded(Optionals(number: nil, word: "a")))
    }
  }

  @Test("an array may be read element by element, and written so")
  func arrays() throws {
    #expect(try decoded(ReadOneByOne<Int>.self, from: encoded([1, 2, 3])).elements == [1, 2, 3])
    #expect(try decoded(ReadOneByOne<UInt8>.self, from: encoded([1, 2, 3])).elements == [1, 2, 3])
    #expect(try decoded(ReadOneByOne<Bool>.self, from: encoded([true])).elements == [true])
    let points = [Point(x: 1, y: 2), Point(x: 3, y: 4)]
    #expect(try decoded(ReadOneByOne<Point>.self, from: encoded(points)).elements == points)
    #expect(try decoded(ReadOneByOne<String>.self, from: encoded(["a"])).elements == ["a"])
    #expect(try decoded([Int].self, from: encoded(ReadOneByOne(elements: [1, 2]))) == [1, 2])
    #expect(try decoded([UInt8].self, from: encoded(Data([1, 2]))) == [1, 2])
    #expect(try decoded(Data.self, from: encoded([1, 2] as [UInt8])) == Data([1, 2]))
    #expect(try decoded(Data.self, from: encoded(ReadOneByOne<UInt8>(elements: [1]))) == Data([1]))
    #expect(try decoded(Set<Int>.self, from: encoded(ReadOneByOne(elements: [1, 2]))) == [1, 2])
    #expect(throws: DecodingError.self) {
      try decoded(ReadOneByOne<String>.self, from: encoded([1, 2, 3]))
    }
  }

  @Test("the transfer's context is found by values at any depth")
  func context() throws {
    let context = HandleContext()
    let value = Holder(before: "", value: Handle(number: 5), optional: Handle(number: 6), after: [])
    let bytes = try encoded(value, context: context)
    #expect(context.sent == [5, 6])
    let copy = try decoded(Holder<Handle>.self, from: bytes, context: context)
    #expect(copy.value.number == 5 && copy.optional?.number == 6)
    #expect(throws: EncodingError.self) { try encoded(value) }
    #expect(throws: DecodingError.self) { try decoded(Holder<Handle>.self, from: bytes) }
  }

  @Test("a container that outlives its value refuses to be used")
  func escaped() throws {
    let escape = Escape()
    let bytes = try encoded(escape)
    var container = try #require(escape.encoding)
    #expect(throws: EncodingError.self) { try container.encode("late", forKey: .init("late")) }
    let copy = try decoded(Escape.self, from: bytes)
    let reading = try #require(copy.decoding)
    #expect(throws: DecodingError.self) { try reading.decode(String.self, forKey: .init("a")) }
    #expect(reading.allKeys.isEmpty && reading.codingPath.isEmpty)
  }

  @Test("asking for two kinds of container is an error")
  func twoKinds() throws {
    final class Confused: Encodable {
      func encode(to encoder: any Encoder) throws {
        var keyed = encoder.container(keyedBy: AnyKey.self)
        try keyed.encode("a", forKey: AnyKey("a"))
        _ = encoder.unkeyedContainer()
      }
    }
    #expect(throws: EncodingError.self) { try encoded(Confused()) }
  }
}

@Suite("Coding errors say where and what")
struct CodingErrorTests {
  @Test("the path leads to the value that does not fit")
  func path() throws {
    struct Inner: Codable { var text = "", numbers: [[String]] }
    struct InnerTaken: Codable { var text: String, numbers: [[Int]] }
    let bytes = try encoded(["a": Inner(numbers: [[], ["x"]])])
    let error = #expect(throws: DecodingError.self) {
      try decoded([String: InnerTaken].self, from: bytes)
    }
    guard case .typeMismatch(_, let context) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(context.codingPath.map(\.stringValue).prefix(3) == ["a", "numbers", "Index 1"])
    #expect(context.debugDescription.contains("Int"))
  }

  @Test("a missing key is named")
  func missing() throws {
    struct Taken: Codable { var text: String }
    let error = #expect(throws: DecodingError.self) {
      try decoded(Taken.self, from: encoded(Written()))
    }
    guard case .keyNotFound(let key, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(key.stringValue == "text")
  }

  @Test("a conformance sees its own path while it encodes and decodes")
  func ownPath() throws {
    let bytes = try encoded(["list": [PathWitness(), PathWitness()]])
    let copy = try decoded([String: [PathWitness]].self, from: bytes)
    #expect(copy["list"]?.map(\.encodingPath) == ["list/Index 0", "list/Index 1"])
    #expect(copy["list"]?.map(\.decodingPath) == ["list/Index 0", "list/Index 1"])
  }
}
