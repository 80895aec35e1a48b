// Deep values end in an error and not in a stack overflow, on a small stack too.

import CMultiprocessing
import Glibc
import Testing

@testable import Multiprocessing

@Suite("Nesting is bounded")
struct NestingTests {
  @Test("lists of moderate length arrive", arguments: [1, 10, 60])
  func moderate(_ length: Int) throws {
    #expect(try roundTrip(Link.chain(length)).length == length)
    #expect(try roundTrip(Node(length: length)).length == length)
  }

  @Test("a value that is nested too deep is refused by the encoder")
  func encoding() throws {
    let error = #expect(throws: EncodingError.self) { try encoded(Link.chain(3000)) }
    guard case .invalidValue(_, let context) = error else { return }
    #expect(context.debugDescription.contains("levels deep"))
    #expect(throws: EncodingError.self) { try encoded(Endless()) }
  }

  @Test("input that is nested too deep is refused by the decoder")
  func decoding() throws {
    let error = #expect(throws: DecodingError.self) {
      try decoded(Endless.self, from: nested(levels: 3000))
    }
    guard case .dataCorrupted(let context) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(context.debugDescription.contains("levels deep"))
  }

  @Test("a stack of 512 KiB is enough to refuse")
  func smallStack() throws {
    let isRefused = try onThread(stackByteCount: 512 << 10) {
      (try? encoded(Endless())) == nil
        && (try? decoded(Endless.self, from: nested(levels: 5000))) == nil
    }
    #expect(isRefused)
  }

  @Test("a large stack is used up to the greatest depth and not beyond")
  func largeStack() throws {
    let isExact = try onThread(stackByteCount: 64 << 20) {
      let longest = try? roundTrip(Node(length: NestingGuard.maximumDepth))
      return longest?.length == NestingGuard.maximumDepth
        && (try? encoded(Node(length: NestingGuard.maximumDepth + 1))) == nil
    }
    #expect(isExact)
  }
}

/// What `body` returns on a thread of its own with a stack of this size.
private func onThread(
  stackByteCount: Int, _ body: @escaping @Sendable () -> Bool
) throws -> Bool {
  final class Job: Sendable {
    let body: @Sendable () -> Bool

    init(_ body: @escaping @Sendable () -> Bool) {
      self.body = body
    }
  }
  var attributes = pthread_attr_t()
  unsafe pthread_attr_init(&attributes)
  unsafe pthread_attr_setstacksize(&attributes, stackByteCount)
  defer { unsafe _ = pthread_attr_destroy(&attributes) }
  var thread = pthread_t()
  let job = unsafe Unmanaged.passRetained(Job(body)).toOpaque()
  let status = unsafe pthread_create(
    &thread, &attributes,
    { job in
      guard let job = unsafe job else { return nil }
      let isTrue = unsafe Unmanaged<Job>.fromOpaque(job).takeRetainedValue().body()
      return unsafe UnsafeMutableRawPointer(bitPattern: isTrue ? 1 : 2)
    }, job)
  try #require(status == 0)
  var result: UnsafeMutableRawPointer?
  unsafe pthread_join(thread, &result)
  return Int(bitPattern: result) == 1
}

/// Keyed containers inside one another, as the encoding of a long list would be.
private func nested(levels: Int) -> [UInt8] {
  let name = Array("next".utf8)
  let levelByteCount = SlotLayout.containerHeader + 4 + name.count
  var bytes: [UInt8] = []
  for inner in (0..<levels).reversed() {
    // n counts what follows it: the count, the entry's name, and the containers inside.
    let byteCount =
      inner == 0
      ? 8
      : levelByteCount - SlotLayout.header
        + SlotLayout.containerHeader + (inner - 1) * levelByteCount
    bytes.append(SlotTag.keyed.rawValue)
    bytes += littleEndian(byteCount) + littleEndian(inner == 0 ? 0 : 1)
    if inner > 0 { bytes += littleEndian(UInt32(name.count)) + name }
  }
  return bytes
}

private indirect enum Link: Codable {
  case end
  case next(Link)

  static func chain(_ length: Int) -> Link {
    var link = Link.end
    for _ in 0..<length { link = .next(link) }
    return link
  }

  var length: Int {
    var (link, length) = (self, 0)
    while case .next(let next) = link {
      link = next
      length += 1
    }
    return length
  }
}

private final class Node: Codable {
  var next: Node?

  init(length: Int) {
    next = length > 1 ? Node(length: length - 1) : nil
  }

  var length: Int { 1 + (next?.length ?? 0) }
}

/// A value that holds itself.
private final class Endless: Codable {
  init() {}

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Keys.self)
    _ = try container.decode(Endless.self, forKey: .next)
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Keys.self)
    try container.encode(self, forKey: .next)
  }

  private enum Keys: CodingKey { case next }
}
