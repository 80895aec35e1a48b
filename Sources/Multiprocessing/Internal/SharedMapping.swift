// One piece of memory that several processes map: its descriptor and its mapping here.

internal import CMultiprocessing
internal import SystemPackage

/// A memfd of fixed size, mapped; unmapped and closed with the last handle in this process.
///
/// Sendable because the words never change, and the memory is shared by design.
@safe
final class SharedMapping: @unchecked Sendable {
  /// Names the memory in every process that has it: 64 random bits.
  let number: UInt64
  let descriptor: Int32
  let byteCount: Int
  let base: UnsafeMutableRawPointer
  private let owns: Bool

  /// New memory, filled with zeros.
  convenience init(byteCount: Int, node: Int? = nil) throws(ProcessError) {
    guard byteCount >= 0 else {
      throw .invalidConfiguration("shared memory of \(byteCount) bytes: ask for 0 or more")
    }
    let descriptor = try MemoryBinding.create(on: node, "memfd_create") {
      unsafe mproc_memfd("mproc-shared", max(byteCount, 1), $0)
    }
    try self.init(
      number: UInt64.random(in: 1...UInt64.max), descriptor: descriptor, byteCount: byteCount,
      owns: true)
    AttachedMemory.shared.note(self)
  }

  /// Memory whose descriptor is at hand.
  init(number: UInt64, descriptor: Int32, byteCount: Int, owns: Bool) throws(ProcessError) {
    var base: UnsafeMutableRawPointer?
    let result = unsafe mproc_map_shared(descriptor, max(byteCount, 1), &base)
    guard result >= 0, let base = unsafe base else {
      if owns { _ = mproc_close(descriptor) }
      throw .startFailed(
        Errno(rawValue: -result), operation: "mapping \(byteCount) bytes of shared memory")
    }
    self.number = number
    self.descriptor = descriptor
    self.byteCount = byteCount
    self.owns = owns
    unsafe self.base = base
  }

  deinit {
    _ = unsafe mproc_unmap(base, max(byteCount, 1))
    if owns { _ = mproc_close(descriptor) }
    AttachedMemory.shared.forget(number)
  }
}

/// The transfer of one value out of this process; collects the shared memory that the value names.
final class OutgoingTransfer: TransferContext {
  private(set) var mappings: [SharedMapping] = []

  func add(_ mapping: SharedMapping) {
    if !mappings.contains(where: { $0 === mapping }) { mappings.append(mapping) }
  }

  func removeAll() {
    if !mappings.isEmpty { mappings = [] }
  }
}

/// The transfer of one value into this process.
final class IncomingTransfer: TransferContext {}
