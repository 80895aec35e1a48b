// Small text files below a root folder, as the kernel writes them in /sys and /proc. A file that
// cannot be read is nil, since on one kernel or another every file is missing. The oddities of
// such files are dealt with here: trailing NULs and blanks, empty files, "(null)" for an empty
// list, masks of 32-bit groups.

internal import Glibc
internal import SystemPackage

struct FileTree {
  let root: FilePath

  func path(_ name: String) -> FilePath {
    root.appending(name)
  }

  /// The file's text up to the first NUL, without blanks at its ends.
  func text(_ name: String) -> String? {
    guard let bytes = bytes(name) else { return nil }
    let isBlank = { (byte: UInt8) in byte == 0x20 || (0x09...0x0D).contains(byte) }
    let used = bytes.prefix { $0 != 0 }.drop(while: isBlank)
    let end = used.lastIndex { !isBlank($0) }.map { $0 + 1 } ?? used.startIndex
    return String(decoding: used[used.startIndex..<end], as: UTF8.self)
  }

  /// The decimal number in the file; nil also where there is none.
  func integer(_ name: String) -> Int? {
    text(name).flatMap { Int($0) }
  }

  /// The CPUs of a file in list form.
  func list(_ name: String) throws(TopologyError) -> CPUSet? {
    guard let text = text(name) else { return nil }
    if text == "(null)" { return CPUSet() }
    do {
      return try CPUSet(text)
    } catch {
      throw .malformed(path(name), error.description)
    }
  }

  /// The list after "`label`:" in a file of labelled lines; nil where there is none.
  func field(_ label: String, of name: String) -> CPUSet? {
    for line in (text(name) ?? "").split(separator: "\n") where line.hasPrefix("\(label):") {
      return try? CPUSet(line.dropFirst(label.count + 1))
    }
    return nil
  }

  /// The CPUs of a file in mask form: hexadecimal groups of 32 bits, the highest first.
  func mask(_ name: String) throws(TopologyError) -> CPUSet? {
    guard let text = text(name) else { return nil }
    var words: [UInt] = []
    if text.isEmpty { return CPUSet() }
    let groups = text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
    for (position, group) in groups.reversed().enumerated() {
      guard let value = UInt32(String(group) ?? "", radix: 16) else {
        throw .malformed(path(name), "\"\(text)\" is no mask of CPUs")
      }
      if position % 2 == 0 {
        words.append(UInt(value))
      } else {
        words[position / 2] |= UInt(value) << 32
      }
    }
    return CPUSet(words: words)
  }

  /// The CPUs of the first of these files that can be read; a name that ends in "list" is in list
  /// form, any other in mask form.
  func cpus(_ names: [String]) throws(TopologyError) -> CPUSet? {
    for name in names {
      let cpus = name.hasSuffix("list") ? try list(name) : try mask(name)
      if let cpus { return cpus }
    }
    return nil
  }

  /// The numbers n, ascending, for which the folder has an entry "`prefix`n".
  func numbers(in folder: String, after prefix: String) -> [Int] {
    entries(folder).compactMap { name in
      name.hasPrefix(prefix) ? Int(name.dropFirst(prefix.count)) : nil
    }.filter { $0 >= 0 && $0 <= CPUSet.highestCPU }.sorted()
  }
}

// MARK: - System calls

extension FileTree {
  private func bytes(_ name: String) -> [UInt8]? {
    guard let file = try? FileDescriptor.open(path(name), .readOnly, options: .closeOnExec) else {
      return nil
    }
    defer { try? file.close() }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = unsafe chunk.withUnsafeMutableBytes { try? unsafe file.read(into: $0) }
      guard let count else { return nil }
      if count == 0 { return bytes }
      bytes.append(contentsOf: chunk[..<count])
    }
  }

  private func entries(_ folder: String) -> [String] {
    guard let directory = unsafe opendir(path(folder).string) else { return [] }
    defer { unsafe closedir(directory) }
    var names: [String] = []
    while let entry = unsafe readdir(directory) {
      names.append(
        unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
          unsafe name.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) {
            unsafe String(cString: $0)
          }
        })
    }
    return names
  }
}
