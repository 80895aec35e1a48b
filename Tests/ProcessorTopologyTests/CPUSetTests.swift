// CPU sets: the list form both ways, and the algebra against a plain set of numbers.

import Foundation
import ProcessorTopology
import Testing

@Suite("CPU sets")
struct CPUSetTests {
  @Test(
    "a list is read as the numbers it names",
    arguments: [
      ("", []), ("  \n", []), ("0", [0]), ("0-3,8", [0, 1, 2, 3, 8]),
      ("0-10:2", [0, 2, 4, 6, 8, 10]),
      ("8,0-1", [0, 1, 8]), ("1-1", [1]), ("3,3", [3]), ("0-5:4", [0, 4]),
      (" 0 , 2-3\n", [0, 2, 3]),
      ("63-65", [63, 64, 65]), ("1023-1025", [1023, 1024, 1025]), ("1048575", [1_048_575]),
    ] as [(String, [Int])])
  func reads(list: String, cpus: [Int]) throws {
    #expect(try Array(CPUSet(list)) == cpus)
  }

  @Test(
    "a malformed list is refused with the position of the mistake",
    arguments: [
      ("x", 0), ("-1", 0), ("0-", 2), ("0,", 2), ("0,,1", 2), ("1-0", 2), ("0-4:", 4), ("0-4:0", 4),
      ("0 1", 2), ("0-1048576", 2), ("99999999999999999999999", 0), ("0:2", 1), ("0x3", 1),
      ("é", 0), ("1,é", 2),
    ] as [(String, Int)])
  func refuses(list: String, offset: Int) {
    let error = #expect(throws: CPUSet.ParseError.self) { try CPUSet(list) }
    #expect(error?.offset == offset)
    #expect(error?.list == list)
    #expect(error?.description.contains("offset \(offset)") == true)
  }

  @Test(
    "the list form shortens runs of three and more",
    arguments: [
      ([], ""), ([5], "5"), ([0, 1], "0,1"), ([0, 1, 2], "0-2"), ([0, 2, 3, 4, 9], "0,2-4,9"),
      ([62, 63, 64, 65], "62-65"), ([1, 2, 4, 5], "1,2,4,5"),
    ] as [([Int], String)])
  func prints(cpus: [Int], list: String) {
    #expect(CPUSet(cpus).description == list)
  }

  @Test("literals of numbers and of text, and ranges, make the same set")
  func literals() {
    #expect("0-3,8" as CPUSet == [8, 3, 2, 1, 0])
    #expect(CPUSet(0..<4) == "0-3")
    #expect(CPUSet("0-10:2") == [0, 2, 4, 6, 8, 10])
  }

  @Test("a malformed literal traps")
  func trapsOnMalformedLiteral() async {
    await #expect(processExitsWith: .failure) {
      _ = CPUSet("3-1")
    }
  }

  @Test("a number that no machine has traps instead of taking its memory")
  func trapsOnAbsurdNumber() async {
    await #expect(processExitsWith: .failure) {
      var set = CPUSet()
      set.insert(1_048_576)
    }
    await #expect(processExitsWith: .failure) {
      var set = CPUSet()
      set.insert(-1)
    }
  }

  @Test("numbers that cannot be in a set are not in it, and cannot be removed")
  func outsideNumbers() {
    var set: CPUSet = "0-3"
    #expect(!set.contains(-1))
    #expect(!set.contains(.max))
    #expect(!set.contains(.min))
    #expect(set.remove(-1) == nil)
    #expect(set.remove(1 << 40) == nil)
    #expect(set == "0-3")
  }

  @Test("a set is coded as its list, and a malformed list is a decoding error")
  func coding() throws {
    let set: CPUSet = "0-3,8,1024"
    let data = try JSONEncoder().encode([set])
    #expect(String(decoding: data, as: UTF8.self) == "[\"0-3,8,1024\"]")
    #expect(try JSONDecoder().decode([CPUSet].self, from: data) == [set])
    #expect(throws: DecodingError.self) {
      try JSONDecoder().decode([CPUSet].self, from: Data("[\"3-\"]".utf8))
    }
  }

  @Test("removing the highest CPU leaves a set equal to one that never had it")
  func equalityAfterRemoval() {
    var set: CPUSet = [1, 5000]
    #expect(set.remove(5000) == 5000)
    #expect(set == [1])
    #expect(set.hashValue == CPUSet([1]).hashValue)
    #expect(set.symmetricDifference([1]).isEmpty)
  }
}

@Suite("CPU sets against a plain set of numbers")
struct CPUSetModelTests {
  @Test("a thousand random changes give the same members", arguments: [1, 2, 3] as [UInt64])
  func changes(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var set = CPUSet()
    var model = Set<Int>()
    for _ in 0..<1000 {
      let cpu = Int.random(in: 0..<200, using: &random)
      switch Int.random(in: 0..<3, using: &random) {
      case 0: #expect(set.insert(cpu).inserted == model.insert(cpu).inserted)
      case 1: #expect(set.remove(cpu) == model.remove(cpu))
      default: #expect(set.update(with: cpu) == model.update(with: cpu))
      }
      #expect(set.contains(cpu) == model.contains(cpu))
    }
    #expect(Array(set) == model.sorted())
    #expect(set.count == model.count)
  }

  @Test("set operations give the members that plain sets give", arguments: 0..<60 as Range<UInt64>)
  func operations(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    func members() -> Set<Int> {
      let limit = [4, 64, 65, 1100].randomElement(using: &random) ?? 64
      let count = Int.random(in: 0...limit / 2, using: &random)
      return Set((0..<count).map { _ in Int.random(in: 0..<limit, using: &random) })
    }
    let (left, right) = (members(), members())
    let (a, b) = (CPUSet(left), CPUSet(right))
    #expect(Set(a.union(b)) == left.union(right))
    #expect(Set(a.intersection(b)) == left.intersection(right))
    #expect(Set(a.symmetricDifference(b)) == left.symmetricDifference(right))
    #expect(Set(a.subtracting(b)) == left.subtracting(right))
    #expect(a.isSubset(of: b) == left.isSubset(of: right))
    #expect(a.isDisjoint(with: b) == left.isDisjoint(with: right))
    #expect((a == b) == (left == right))
    #expect(a.isEmpty == left.isEmpty)
    #expect(a.count == left.count)
    #expect(Array(a) == left.sorted())
    #expect(try CPUSet(a.description) == a)
  }
}
