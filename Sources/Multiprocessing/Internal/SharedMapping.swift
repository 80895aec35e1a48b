// One piece of memory that several processes map.

internal import CMultiprocessing
internal import Glibc
internal import SystemPackage

/// A memfd of fixed size, mapped; unmapped with the last handle in this process.
///
/// Sendable because the words never change, and the memory is shared by design.
@safe
final class SharedMapping: @unchecked Sendable {
  let descriptor: SharedDescriptor
  let base: UnsafeMutableRawPointer
  private let mappedCount: Int

  var byteCount: Int { descriptor.byteCount }

  /// New memory, filled with zeros.
  static func make(
    byteCount: Int, huge: HugePages = .never, node: Int? = nil
  ) throws(ProcessError) -> SharedMapping {
    try check(byteCount)
    let descriptor = try descriptor(max(byteCount, 1), huge, node)
    return try SharedDescriptor(descriptor, byteCount: byteCount).mapping()
  }

  private static func descriptor(
    _ byteCount: Int, _ huge: HugePages, _ node: Int?
  ) throws(ProcessError) -> Int32 {
    if huge != .never {
      do {
        return try MemoryBinding.create(on: node, "huge pages for \(byteCount) bytes") {
          unsafe mproc_memfd_huge("mproc-shared", byteCount, $0)
        }
      } catch .startFailed(let error, let operation) {
        guard huge == .ifAvailable else {
          throw .startFailed(
            error, operation: "\(operation): reserve more of them (sysctl vm.nr_hugepages=…)")
        }
      }
    }
    return try MemoryBinding.create(on: node, "memfd_create") {
      unsafe mproc_memfd("mproc-shared", byteCount, $0)
    }
  }

  /// Memory with a name: new of a size, or what there is.
  static func named(_ name: String, byteCount: Int?) throws(ProcessError) -> SharedMapping {
    if let byteCount, byteCount < 1 {
      throw .invalidConfiguration(
        "shared memory of \(byteCount) bytes named \"\(name)\": ask for 1 or more")
    }
    let descriptor =
      if name.utf8.contains(0) {
        -EINVAL
      } else if let byteCount {
        unsafe mproc_named_create(name, byteCount)
      } else {
        unsafe mproc_named_open(name)
      }
    try check(name, descriptor, byteCount == nil ? "opening" : "making")
    let size = mproc_file_size(descriptor)
    let shared = SharedDescriptor(descriptor, byteCount: max(0, Int(size)))
    guard size > 0 else {
      throw .invalidConfiguration("shared memory named \"\(name)\": the file is empty")
    }
    return try shared.mapping()
  }

  static func unlink(_ name: String) throws(ProcessError) {
    try check(name, name.utf8.contains(0) ? -EINVAL : unsafe mproc_named_unlink(name), "removing")
  }

  private static func check(
    _ name: String, _ result: Int32, _ what: String
  ) throws(ProcessError) {
    if result == -EINVAL {
      throw .invalidConfiguration(
        "shared memory named \"\(name)\": a name has 1 to 255 bytes, none of them a slash or 0, and is"
          + " no other kind of file in /dev/shm")
    }
    try Multiprocessing.check(result, "\(what) the shared memory named \"\(name)\"")
  }

  private static func check(_ byteCount: Int) throws(ProcessError) {
    guard byteCount >= 0 else {
      throw .invalidConfiguration("shared memory of \(byteCount) bytes: ask for 0 or more")
    }
  }

  /// For `SharedDescriptor.mapping`.
  init(_ descriptor: SharedDescriptor) throws(ProcessError) {
    var base: UnsafeMutableRawPointer?
    let byteCount = descriptor.byteCount
    var mappedCount = 0
    let result = unsafe mproc_map_shared(
      descriptor.rawValue, max(byteCount, 1), &base, &mappedCount)
    guard result >= 0, let base = unsafe base else {
      throw .startFailed(
        Errno(rawValue: -result), operation: "mapping \(byteCount) bytes of shared memory")
    }
    self.descriptor = descriptor
    unsafe self.base = base
    self.mappedCount = mappedCount
  }

  deinit { _ = unsafe mproc_unmap(base, mappedCount) }
}
