// An array that several processes map.

/// An array that several processes map; the same memory in all of them.
///
/// The handle is `Codable` and can sit anywhere inside an argument; a slice is a handle too. No atomicity is
/// promised: processes that write at once need disjoint slices or a lock.
public final class SharedArray<Element: BitwiseCopyable & Sendable>: Codable, Sendable {
  private let mapping: SharedMapping
  private let offset: Int
  public let count: Int

  private init(_ mapping: SharedMapping, offset: Int, count: Int) {
    self.mapping = mapping
    self.offset = offset
    self.count = count
  }

  /// Cost: a page fault for each page that `value` is written to.
  ///
  /// - Parameter node: The NUMA node that the memory comes from, as in `SharedMemory.init(byteCount:node:)`.
  /// - Throws: `.invalidConfiguration` for a negative count and for a node that is not there or has no memory,
  ///   `.startFailed` when the cpuset forbids the node, and when there is no memory or address space.
  public convenience init(
    count: Int, repeating value: Element, huge: HugePages = .never, node: Int? = nil
  ) throws(ProcessError) {
    try self.init(zeroed: count, huge, node)
    unsafe elements.initialize(repeating: value)
  }

  public convenience init(
    _ elements: some Collection<Element>, huge: HugePages = .never, node: Int? = nil
  ) throws(ProcessError) {
    try self.init(zeroed: elements.count, huge, node)
    _ = unsafe self.elements.initialize(from: elements)
  }

  fileprivate convenience init(
    zeroed count: Int, _ huge: HugePages, _ node: Int?
  ) throws(ProcessError) {
    let (byteCount, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
    guard count >= 0, !overflow else {
      throw .invalidConfiguration(
        "a shared array of \(count) elements; ask for 0 or more that fit into memory")
    }
    self.init(
      try SharedMapping.make(byteCount: byteCount, huge: huge, node: node), offset: 0, count: count)
  }

  private var elements: UnsafeMutableBufferPointer<Element> {
    let start = unsafe (mapping.base + offset * MemoryLayout<Element>.stride)
      .assumingMemoryBound(to: Element.self)
    return unsafe UnsafeMutableBufferPointer(start: start, count: count)
  }

  public var indices: Range<Int> { 0..<count }

  /// Traps outside the bounds. One element; no atomicity is promised.
  public subscript(index: Int) -> Element {
    get {
      precondition(indices.contains(index), "index out of range")
      return unsafe elements[index]
    }
    set {
      precondition(indices.contains(index), "index out of range")
      unsafe elements[index] = newValue
    }
  }

  /// The same memory, a part of it. Traps outside the bounds.
  public subscript(bounds: Range<Int>) -> SharedArray {
    precondition(bounds.lowerBound >= 0 && bounds.upperBound <= count, "range out of bounds")
    return SharedArray(mapping, offset: offset + bounds.lowerBound, count: bounds.count)
  }

  /// The array in so many parts of almost equal size, the larger ones first; fewer when it is shorter.
  public func chunks(_ count: Int) -> [SharedArray] {
    precondition(count > 0, "an array is cut into at least one part")
    let parts = Swift.min(count, Swift.max(self.count, 1))
    var start = 0
    return (0..<parts).map { part in
      let size = self.count / parts + (part < self.count % parts ? 1 : 0)
      defer { start += size }
      return self[start..<start + size]
    }
  }

  public func withSpan<R: ~Copyable, E: Error>(_ body: (Span<Element>) throws(E) -> R) throws(E)
    -> R
  {
    let elements = unsafe UnsafeBufferPointer(elements)
    return unsafe try body(elements.span)
  }

  public func withMutableSpan<R: ~Copyable, E: Error>(
    _ body: (inout MutableSpan<Element>) throws(E) -> R
  ) throws(E) -> R {
    let elements = unsafe elements
    var span = unsafe elements.mutableSpan
    return try body(&span)
  }

  // MARK: - Codable

  private enum CodingKeys: CodingKey { case memory, offset, count }

  /// Throws `EncodingError` outside a transfer to another process.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(SharedMemory(mapping), forKey: .memory)
    try container.encode(offset, forKey: .offset)
    try container.encode(count, forKey: .count)
  }

  /// Throws `DecodingError` outside a transfer to another process, and when the bounds lie outside the memory.
  public convenience init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let mapping = try container.decode(SharedMemory.self, forKey: .memory).mapping
    let offset = try container.decode(Int.self, forKey: .offset)
    let count = try container.decode(Int.self, forKey: .count)
    let capacity =
      MemoryLayout<Element>.stride > 0 ? mapping.byteCount / MemoryLayout<Element>.stride : Int.max
    guard offset >= 0, count >= 0, offset <= capacity, count <= capacity - offset else {
      throw DecodingError.dataCorruptedError(
        forKey: .count, in: container, debugDescription: "the slice lies outside its memory")
    }
    self.init(mapping, offset: offset, count: count)
  }
}

extension SharedArray where Element: AdditiveArithmetic {
  /// Zeros.
  public convenience init(
    count: Int, huge: HugePages = .never, node: Int? = nil
  ) throws(ProcessError) {
    try self.init(zeroed: count, huge, node)
    // A new memfd is all zero bits, which is `.zero` for every number of the standard library.
    if Element.zero as? any BinaryInteger == nil, Element.zero as? any BinaryFloatingPoint == nil {
      withMutableSpan { span in
        for index in span.indices { span[index] = .zero }
      }
    }
  }
}

extension Array where Element: BitwiseCopyable & Sendable {
  /// A copy of the shared elements.
  public init(_ shared: SharedArray<Element>) {
    self = shared.withSpan { span in
      unsafe [Element](unsafeUninitializedCapacity: span.count) { buffer, count in
        for index in span.indices { unsafe buffer[index] = span[index] }
        count = span.count
      }
    }
  }
}
