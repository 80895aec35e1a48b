// A cgroup with little memory, where this process may make one.

import Foundation

/// Removed with the object; nothing may run in it any more.
final class MemoryGroup {
  let path: String

  /// The folders of version 1 and version 2 in which a group with a limit can be made.
  private static var parents: [(path: String, limit: String)] {
    let own = (try? String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8)) ?? ""
    let classic = own.split(separator: "\n").first { $0.contains(":memory:") }
    let folder = classic.flatMap { $0.split(separator: ":").last.map(String.init) } ?? "/"
    return [
      ("/sys/fs/cgroup/memory" + folder, "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max"),
    ]
  }

  static var isPossible: Bool { (try? MemoryGroup(mebibytes: 100)) != nil }

  init(mebibytes: Int) throws {
    for (parent, limit) in Self.parents {
      let path = parent + "/mproc-test-" + UUID().uuidString
      guard unsafe mkdir(path, 0o700) == 0 else { continue }
      do {
        try "\(mebibytes << 20)".write(
          toFile: path + "/" + limit, atomically: false, encoding: .utf8)
        self.path = path
        return
      } catch {
        unsafe rmdir(path)
      }
    }
    throw CocoaError(.fileWriteNoPermission)
  }

  deinit { unsafe rmdir(path) }
}
