// What this process holds, as the kernel counts it.

import Glibc

/// Everything of this process that a pool could leave behind.
struct Holdings: Equatable {
  var descriptors: [String]
  var threads: [String]
  /// Mappings of memory that has a descriptor.
  var mappings: [String]
  var zombies: Int
  var children: Int

  static func now() -> Holdings {
    let parent = " \(getpid()) "
    let states = names(in: "/proc").filter { $0.allSatisfy(\.isNumber) }.compactMap {
      pid -> Substring? in
      // "pid (name) state parent …", where the name may hold anything.
      let stat = text(of: "/proc/\(pid)/stat")
      guard let end = stat.lastIndex(of: ")") else { return nil }
      let fields = stat[stat.index(after: end)...]
      return fields.dropFirst(2).hasPrefix(parent) ? fields : nil
    }
    return Holdings(
      descriptors: names(in: "/proc/self/fd").map { link("/proc/self/fd/\($0)") }
        .filter { !$0.isEmpty }.map(kind).sorted(),
      threads: names(in: "/proc/self/task")
        .map { String(text(of: "/proc/self/task/\($0)/comm").prefix { $0 != "\n" }) }.sorted(),
      mappings: text(of: "/proc/self/maps").split(separator: "\n").filter { $0.contains("/memfd:") }
        .map { String($0.drop { $0 != "/" }) }.sorted(),
      zombies: states.count { $0.hasPrefix(" Z") }, children: states.count)
  }

  /// What there is more of than there was, as text.
  func excess(over before: Holdings) -> [String] {
    let (descriptors, threads, mappings) = (
      surplus(descriptors, before.descriptors), surplus(threads, before.threads),
      surplus(mappings, before.mappings)
    )
    var excess: [String] = []
    // One kind of descriptor in place of another is no leak, one more in all is.
    if self.descriptors.count > before.descriptors.count {
      excess.append(
        "descriptors \(before.descriptors.count) -> \(self.descriptors.count) \(descriptors)")
    }
    if self.threads.count > before.threads.count {
      excess.append("threads \(before.threads.count) -> \(self.threads.count) \(threads)")
    }
    if self.mappings.count > before.mappings.count {
      excess.append("mappings \(before.mappings.count) -> \(self.mappings.count) \(mappings)")
    }
    if zombies > before.zombies { excess.append("zombies \(before.zombies) -> \(zombies)") }
    if children > before.children { excess.append("children \(before.children) -> \(children)") }
    return excess
  }

  private func surplus(_ now: [String], _ before: [String]) -> [String: Int] {
    var counts: [String: Int] = [:]
    for name in now { counts[name, default: 0] += 1 }
    for name in before { counts[name, default: 0] -= 1 }
    return counts.filter { $0.value > 0 }
  }

  /// "socket:[1234]" without the number.
  private static func kind(_ target: String) -> String { String(target.prefix { $0 != "[" }) }
}

// MARK: - Reading /proc

private func names(in directory: String) -> [String] {
  guard let stream = unsafe opendir(directory) else { return [] }
  defer { unsafe closedir(stream) }
  let own = unsafe "\(dirfd(stream))"
  var names: [String] = []
  while let entry = unsafe readdir(stream) {
    let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
      unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    if !name.hasPrefix("."), directory != "/proc/self/fd" || name != own { names.append(name) }
  }
  return names
}

/// All of a file; empty when it cannot be read, as for a process that has ended meanwhile.
func text(of path: String) -> String {
  let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
  guard file >= 0 else { return "" }
  defer { close(file) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65_536)
  while true {
    let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress, $0.count) }
    guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
    bytes += buffer[..<count]
  }
}

private func link(_ path: String) -> String {
  unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4_096) { buffer in
    guard let base = buffer.baseAddress else { return "" }
    let count = unsafe readlink(path, base, buffer.count)
    return unsafe String(
      decoding: UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: buffer[..<max(0, count)])),
      as: UTF8.self)
  }
}
