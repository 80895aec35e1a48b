// One import is enough: CPU sets and placements, and the system types that appear in signatures, come
// with this module.

@_exported public import ProcessorTopology

@_exported public import struct SystemPackage.Errno
@_exported public import struct SystemPackage.FileDescriptor
@_exported public import struct SystemPackage.FilePath

/// What may cross a process boundary.
///
/// Values without references (`Int`, a struct of numbers) and arrays of them travel as plain bytes,
/// everything else through its `Codable` conformance.
public typealias Transferable = Codable & Sendable
