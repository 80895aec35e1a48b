// Work on shared arrays in place: nothing is copied but handles.

extension ProcessPool {
  /// Calls `body` on parts of the array, which it may change in place.
  ///
  /// The body gets the elements of a part, numbered from 0, and where the part lies in the array. Parts do not
  /// overlap, and all have been worked on when the call returns. Cost: a handle of some 30 bytes for each part, no
  /// copy of elements.
  ///
  /// ```swift
  /// try await pool.forEach(over: samples) { part, range in
  ///   for index in part.indices { part[index] *= window(range.lowerBound + index) }
  /// }
  /// ```
  ///
  /// - Parameter grain: Elements in a part, the last one may have fewer; nil: as many as give each worker some parts,
  ///   several of which travel together when they take little time.
  /// - Throws: `.invalidConfiguration` for a grain below 1; what `forEach` throws. `CrashReport.taskIndex` counts parts.
  ///   What a body that fails has written stays.
  public func forEach<Element>(
    over array: SharedArray<Element>, grain: Int? = nil,
    body: @escaping @Sendable (inout MutableSpan<Element>, Range<Int>) throws -> Void
  ) async throws {
    let reference = try BodyReference(inPlace: body)
    try await forEach(try parts(of: array, grain), reference)
  }

  /// Calls `body` on parts of `destination`, with all of `source` to read: a stencil, a filter.
  ///
  /// The body gets all elements of the source, those of a part of the destination, numbered from 0, and where the part
  /// lies in the destination. The two arrays need not have the same size; they must not share memory, or a part is read
  /// while another worker writes it. Otherwise as `forEach(over:)`.
  ///
  /// ```swift
  /// try await pool.map(over: old, into: new) { old, part, range in
  ///   for index in range where index > 0 && index < old.count - 1 {
  ///     part[index - range.lowerBound] = (old[index - 1] + old[index] + old[index + 1]) / 3
  ///   }
  /// }
  /// ```
  public func map<Source, Destination>(
    over source: SharedArray<Source>, into destination: SharedArray<Destination>,
    grain: Int? = nil,
    body:
      @escaping @Sendable (Span<Source>, inout MutableSpan<Destination>, Range<Int>) throws
      -> Void
  ) async throws {
    let reference = try BodyReference(stencil: body)
    let pairs = try parts(of: destination, grain).map { ArrayPair(source: source, part: $0) }
    try await forEach(pairs, reference)
  }

  /// So many parts each worker gets, that one which is held up holds up little of the whole.
  private static let partsPerWorker = 32

  private func parts<Element>(
    of array: SharedArray<Element>, _ grain: Int?
  ) throws(ProcessError) -> [ArrayPart<Element>] {
    if let grain, grain < 1 {
      throw .invalidConfiguration("a grain of \(grain) elements: ask for 1 or more, or nil")
    }
    let most = max(1, core.workerCount * Self.partsPerWorker)
    let size = grain ?? max(1, (array.count + most - 1) / most)
    return stride(from: 0, to: array.count, by: size).map { start in
      ArrayPart(array: array[start..<min(start + size, array.count)], start: start)
    }
  }
}
