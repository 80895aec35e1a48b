// How much memory can still be had without swapping.

enum MachineMemory {
  /// The kernel's estimate, or what the root cgroup of a container leaves if that is less; nil
  /// where /proc cannot be read.
  static var availableByteCount: Int? {
    guard let text = textOfFile("/proc/meminfo"), let total = available(fromMeminfo: text) else {
      return nil
    }
    guard let limit = number("/sys/fs/cgroup/memory.max"),
      let used = number("/sys/fs/cgroup/memory.current")
    else { return total }
    return min(total, max(0, limit - used))
  }

  /// MemAvailable of /proc/meminfo, in bytes.
  static func available(fromMeminfo text: String) -> Int? {
    for line in text.split(separator: "\n") where line.hasPrefix("MemAvailable:") {
      return line.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 * 1024 }
    }
    return nil
  }

  /// nil for "max" as well.
  private static func number(_ path: String) -> Int? {
    textOfFile(path)?.split(separator: "\n").first.flatMap { Int($0) }
  }
}
