// Reading small files, such as those of /proc, whose size is not known beforehand.

internal import SystemPackage

/// The text of a file, malformed UTF-8 repaired; nil where it cannot be read.
func textOfFile(_ path: String) -> String? {
  guard let file = try? FileDescriptor.open(FilePath(path), .readOnly) else { return nil }
  defer { try? file.close() }
  var bytes: [UInt8] = []
  var isAtEnd = false
  while !isAtEnd {
    let chunk = unsafe [UInt8](unsafeUninitializedCapacity: 16_384) { buffer, count in
      count = unsafe (try? file.read(into: UnsafeMutableRawBufferPointer(buffer))) ?? 0
    }
    isAtEnd = chunk.isEmpty
    bytes += chunk
  }
  return String(decoding: bytes, as: UTF8.self)
}
