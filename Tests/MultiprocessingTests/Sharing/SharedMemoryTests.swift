// Memory with a name, and memory of huge pages.

import Foundation
import Glibc
import Multiprocessing
import SystemPackage
import Testing

@Suite("Named memory and huge pages", .timeLimit(.minutes(2)))
struct SharedMemoryTests {
  private let name = "mproc-test-\(UUID().uuidString)"

  @Test("who knows the name has the same memory, until it is removed", arguments: startMethods)
  func named(_ method: StartMethod) async throws {
    let memory = try SharedMemory(named: name, byteCount: 10_000)
    defer { try? SharedMemory.unlink(name) }
    #expect(memory.byteCount == 10_000)
    #expect(byte(9_999, of: memory) == 0)
    let seen = try await ChildProcess(name, memory, options: ProcessOptions(startMethod: method)) {
      (name: String, memory: SharedMemory) -> [Int] in
      let opened = try SharedMemory(named: name)
      opened.withMutableBytes { $0.storeBytes(of: 42, toByteOffset: 5_000, as: UInt8.self) }
      let there = memory.withBytes { unsafe $0.unsafeLoad(fromByteOffset: 5_000, as: UInt8.self) }
      return [opened.byteCount, Int(there)]
    }.value
    #expect(seen == [10_000, 42])
    #expect(byte(5_000, of: memory) == 42)
    let error = #expect(throws: ProcessError.self) { try SharedMemory(named: name, byteCount: 1) }
    #expect(errno(of: error) == .fileExists)
    try SharedMemory.unlink(name)
    #expect(
      errno(of: #expect(throws: ProcessError.self) { try SharedMemory(named: name) })
        == .noSuchFileOrDirectory)
    #expect(
      errno(of: #expect(throws: ProcessError.self) { try SharedMemory.unlink(name) })
        == .noSuchFileOrDirectory)
    // The memory stays with its handle.
    #expect(byte(5_000, of: memory) == 42)
  }

  @Test("a name that cannot be is refused, and says why")
  func badNames() throws {
    for name in ["", "a/b", "..", String(repeating: "x", count: 256)] {
      let error = #expect(throws: ProcessError.self) { try SharedMemory(named: name, byteCount: 1) }
      #expect(try configurationProblem(of: error).contains("255 bytes"))
    }
    let error = #expect(throws: ProcessError.self) { try SharedMemory(named: name, byteCount: 0) }
    #expect(try configurationProblem(of: error).contains("1 or more"))
  }

  private func byte(_ offset: Int, of memory: SharedMemory) -> UInt8 {
    memory.withBytes { unsafe $0.unsafeLoad(fromByteOffset: offset, as: UInt8.self) }
  }

  private func errno(of error: ProcessError?) -> Errno? {
    guard case .startFailed(let errno, _)? = error else { return nil }
    return errno
  }

  @Test("huge pages where there are some, else normal ones or an error", arguments: startMethods)
  func huge(_ method: StartMethod) async throws {
    let free = try #require(Int(field("HugePages_Free", of: "/proc/meminfo") ?? ""))
    let bytes = 3 << 20
    let array = try SharedArray<Int>(count: bytes / 8, huge: .ifAvailable)
    let last = try await ChildProcess(array, options: ProcessOptions(startMethod: method)) {
      (array: SharedArray<Int>) -> Int in
      array[array.count - 1] = 7
      return array.count
    }.value
    #expect(array[last - 1] == 7 && last == bytes / 8)
    // More than any machine has reserved.
    let error = #expect(throws: ProcessError.self) {
      try SharedMemory(byteCount: (free + 1_000) << 21, huge: .required)
    }
    guard case .startFailed(.noMemory, let operation)? = error else { throw UnexpectedError() }
    #expect(operation.contains("nr_hugepages"))
  }

  @Test(
    "required huge pages are huge",
    .enabled(if: hugePagesFree >= 4, "no huge pages are reserved here: sysctl vm.nr_hugepages=8"))
  func required() throws {
    let memory = try SharedMemory(byteCount: (2 << 20) + 1, huge: .required)
    memory.withMutableBytes { $0.storeBytes(of: 1, toByteOffset: 2 << 20, as: UInt8.self) }
    let maps = FileHandle(forReadingAtPath: "/proc/self/smaps")?.readDataToEndOfFile() ?? Data()
    let text = String(decoding: maps, as: UTF8.self)
    let address = memory.withBytes {
      unsafe $0.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
    }
    let section = try #require(text.range(of: String(address, radix: 16) + "-"))
    let page = try #require(text[section.lowerBound...].range(of: "KernelPageSize:"))
    #expect(text[page.upperBound...].prefix(20).contains("2048 kB"))
  }
}

private let hugePagesFree =
  (try? field("HugePages_Free", of: "/proc/meminfo")).flatMap { $0 }.flatMap { Int($0) } ?? 0
