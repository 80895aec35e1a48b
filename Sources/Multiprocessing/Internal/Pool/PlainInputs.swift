// Inputs that are copied many at a time. Asking an iterator for each costs 100 ns where, as here, its type is
// known only at run time.

/// The position in a sequence whose elements travel as their bytes, and lie side by side or count up.
struct PlainInputs {
  private enum Form {
    case contiguous
    case integers(Range<Int>)
  }

  private let form: Form
  private var position = 0

  /// nil for every other sequence.
  init?<S: Sequence>(_ inputs: S) {
    if let range = inputs as? Range<Int> {
      form = .integers(range)
    } else if let range = inputs as? ClosedRange<Int>, range.upperBound < Int.max {
      form = .integers(Range(range))
    } else if Self.isContiguous(inputs) {
      form = .contiguous
    } else {
      return nil
    }
  }

  private static func isContiguous<S: Sequence>(_ inputs: S) -> Bool {
    let size = MemoryLayout<S.Element>.size
    return ValueCoding.isBytes(S.Element.self) && size == MemoryLayout<S.Element>.stride && size > 0
      && size <= ChunkSizing.byteLimit
      && inputs.withContiguousStorageIfAvailable { _ in true } == true
  }

  /// Writes the next elements, up to `limit`.
  mutating func pull<S: Sequence>(
    _ limit: Int, of inputs: S, into draft: inout RecordDraft
  ) -> Pulled {
    let size = MemoryLayout<S.Element>.size
    let limit = min(limit, ChunkSizing.byteLimit / size)
    draft.itemSize = size
    let count: Int
    switch form {
    case .contiguous:
      count =
        inputs.withContiguousStorageIfAvailable { buffer in
          let count = max(0, min(limit, buffer.count - position))
          unsafe draft.writer.append(
            UnsafeRawBufferPointer(
              UnsafeBufferPointer(rebasing: buffer[position..<position + count])))
          return count
        } ?? 0
    case .integers(let range):
      count = max(0, min(limit, range.count - position))
      let first = range.lowerBound + position
      let room = unsafe draft.writer.allocate(count * size)
      for index in 0..<count {
        unsafe room.storeBytes(of: first + index, toByteOffset: index * size, as: Int.self)
      }
    }
    position += count
    return count == 0 ? .end : .items(count)
  }
}

// MARK: - How many there are

/// Whether `underestimatedCount` is exact.
func isLengthKnown<S: Sequence>(_ inputs: S) -> Bool {
  inputs is any Collection || (S.self as? any PairedSequence.Type)?.isLengthKnown == true
}

/// What `zip` makes: no collection, but as long as the shorter of two.
private protocol PairedSequence {
  static var isLengthKnown: Bool { get }
}

extension Zip2Sequence: PairedSequence {
  fileprivate static var isLengthKnown: Bool {
    Sequence1.self is any Collection.Type && Sequence2.self is any Collection.Type
  }
}
