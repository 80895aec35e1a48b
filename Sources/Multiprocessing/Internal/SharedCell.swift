// The memory of one primitive: a header that says what it is, then its words.

internal import CMultiprocessing

/// Memory of its own for one shared object, and its handle's way to other processes.
@safe
struct SharedCell: Sendable {
  /// What a cell holds; a number of the wire, never changed.
  enum Kind: UInt64 {
    case mutex = 0x6D70_726F_6301
    case recursiveMutex = 0x6D70_726F_6302
    case condition = 0x6D70_726F_6303
    case semaphore = 0x6D70_726F_6304
    case event = 0x6D70_726F_6305
    case barrier = 0x6D70_726F_6306
    case atomic = 0x6D70_726F_6307
  }

  /// The kind, and a number of the kind's own: the size of a state, the parties of a barrier.
  private struct Header: BitwiseCopyable {
    var kind: UInt64
    var detail: UInt64
  }

  /// Where the words begin: a pair of cache lines away from the header.
  private static let wordsOffset = 128

  let mapping: SharedMapping
  let detail: UInt64

  init(_ kind: Kind, detail: UInt64, byteCount: Int) throws(ProcessError) {
    mapping = try SharedMapping.make(byteCount: Self.wordsOffset + byteCount)
    self.detail = detail
    unsafe mapping.base.storeBytes(
      of: Header(kind: kind.rawValue, detail: detail), as: Header.self)
  }

  /// The first of the words, which the caller knows the type of.
  func words<T>(as type: T.Type, at offset: Int = 0) -> UnsafeMutablePointer<T> {
    unsafe (mapping.base + Self.wordsOffset + offset).assumingMemoryBound(to: type)
  }

  func encode(to encoder: any Encoder) throws { try mapping.descriptor.encode(to: encoder) }

  /// A cell of this kind that arrived from another process; `byteCount` says how large one with the header's detail
  /// is, or nil when there is none such.
  init(
    _ kind: Kind, from decoder: any Decoder, _ byteCount: (UInt64) -> Int?
  ) throws {
    mapping = try SharedDescriptor.decode(from: decoder).mapping()
    // Read once: the other process could write another.
    guard mapping.byteCount >= Self.wordsOffset,
      case let header = unsafe mapping.base.loadUnaligned(as: Header.self),
      header.kind == kind.rawValue, let size = byteCount(header.detail),
      mapping.byteCount >= Self.wordsOffset + size
    else {
      throw DecodingError.dataCorrupted(
        DecodingError.Context(
          codingPath: decoder.codingPath,
          debugDescription: "the handle is one of another kind of shared object, or of another type"
        ))
    }
    detail = header.detail
  }
}
