// Bytes that several processes map.

/// Whether shared memory lies in huge pages (2 MiB on most machines), which spare a program that touches much memory
/// at random most of its TLB misses.
///
/// They come from those that the administrator has reserved (`sysctl vm.nr_hugepages`), in whole pages.
public enum HugePages: Sendable, Hashable {
  case never
  /// Where not enough are reserved, normal pages.
  case ifAvailable
  /// Where not enough are reserved, an error.
  case required
}

/// Bytes that several processes map (a memfd); filled with zeros at first.
///
/// The handle is `Codable` and can sit anywhere inside an argument: the worker maps the same memory. Access
/// from several processes at once needs a lock or disjoint ranges. The memory is gone with the last handle in
/// the last process, whatever ends that process; nothing with a name is left behind.
public final class SharedMemory: Codable, Sendable {
  let mapping: SharedMapping

  init(_ mapping: SharedMapping) {
    self.mapping = mapping
  }

  /// - Parameter node: The NUMA node that the pages come from, whichever process touches them first, and from
  ///   nowhere else: when its memory is full, touching a new page ends the process as running out of memory does.
  ///   nil: each page comes from the node of the CPU that touches it first.
  /// - Throws: `.invalidConfiguration` for a negative size and for a node that is not there or has no memory;
  ///   `.startFailed` when the cpuset forbids the node, when there is no memory or address space, and when there
  ///   are not enough huge pages and they are required.
  public convenience init(
    byteCount: Int, huge: HugePages = .never, node: Int? = nil
  ) throws(ProcessError) {
    self.init(try SharedMapping.make(byteCount: byteCount, huge: huge, node: node))
  }

  /// Memory with a name, for processes that have nothing else in common; Python's `SharedMemory`.
  ///
  /// Unlike all other shared memory it stays until somebody removes its name (`unlink`), whoever dies, and then until
  /// its last handle is gone. It is a file in `/dev/shm`, as `shm_open` makes them, which the same user alone can open.
  ///
  /// - Parameters:
  ///   - name: 1 to 255 bytes without a slash.
  ///   - byteCount: Makes new memory of that size, filled with zeros; nil: opens what there is.
  /// - Throws: `.invalidConfiguration` for another name and for a size below 1; `.startFailed` with `EEXIST` when the
  ///   name is taken, with `ENOENT` when it is not there, and when there is no memory.
  public convenience init(named name: String, byteCount: Int? = nil) throws(ProcessError) {
    self.init(try SharedMapping.named(name, byteCount: byteCount))
  }

  /// Removes a name; the memory is gone with its last handle.
  ///
  /// - Throws: `.startFailed` with `ENOENT` when it is not there.
  public static func unlink(_ name: String) throws(ProcessError) {
    try SharedMapping.unlink(name)
  }

  public var byteCount: Int { mapping.byteCount }

  /// The memfd, owned by this object.
  public var descriptor: FileDescriptor { FileDescriptor(rawValue: mapping.descriptor.rawValue) }

  public func withBytes<R: ~Copyable, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
    let bytes = unsafe UnsafeRawBufferPointer(start: mapping.base, count: mapping.byteCount)
    return unsafe try body(bytes.bytes)
  }

  public func withMutableBytes<R: ~Copyable, E: Error>(
    _ body: (inout MutableRawSpan) throws(E) -> R
  ) throws(E) -> R {
    let bytes = unsafe UnsafeMutableRawBufferPointer(start: mapping.base, count: mapping.byteCount)
    var span = unsafe bytes.mutableBytes
    return try body(&span)
  }

  // MARK: - Codable

  /// Throws `EncodingError` outside a transfer to another process.
  public func encode(to encoder: any Encoder) throws {
    try mapping.descriptor.encode(to: encoder)
  }

  /// Throws `DecodingError` outside a transfer to another process.
  public convenience init(from decoder: any Decoder) throws {
    self.init(try SharedDescriptor.decode(from: decoder).mapping())
  }
}
