// What the control groups of the calling process allow: a cpuset and a CPU quota. Groups are found
// through /proc/self/cgroup and /proc/self/mountinfo (else /proc/mounts). A group's limits are its
// own and those of every group above it, as far up as its mount shows. Version 1, version 2, both
// together, and the old cpuset file system occur. Files: cgroup-v2.rst and cgroup-v1/cpusets.rst of
// the kernel's documentation; cpu.cfs_quota_us in scheduler/sched-bwc.rst.

struct CgroupReader {
  let files: FileTree

  /// The tightest quota on the path to the root, if there is one.
  var quota: CPUQuota? {
    let unified = hierarchy(.unified).flatMap { $0.compactMap(unifiedQuota) }
    let classic = hierarchy(.controller("cpu")).flatMap { $0.compactMap(classicQuota) }
    return (unified + classic).min { $0.ratio < $1.ratio }
  }

  /// The CPUs of the process's cpuset; nil where there is none or none can be read.
  var cpuset: CPUSet? {
    cpuset(
      unifiedNames: ["cpuset.cpus.effective"],
      classicNames: ["cpuset.effective_cpus", "effective_cpus", "cpuset.cpus", "cpus"])
  }

  /// The numbers of the nodes of the process's cpuset; nil where there is none or none can be read.
  var memoryNodes: CPUSet? {
    cpuset(
      unifiedNames: ["cpuset.mems.effective"],
      classicNames: ["cpuset.effective_mems", "effective_mems", "cpuset.mems", "mems"])
  }

  private func cpuset(unifiedNames: [String], classicNames: [String]) -> CPUSet? {
    let sets =
      hierarchy(.unified).compactMap { nearestSet(in: $0, named: unifiedNames) }
      + hierarchy(.controller("cpuset")).compactMap { nearestSet(in: $0, named: classicNames) }
    guard let first = sets.first else { return nil }
    let common = sets.dropFirst().reduce(first) { $0.intersection($1) }
    return common.isEmpty ? nil : common
  }

  /// Where the kernel may count the processes of the own group that it killed for want of memory.
  var memoryKillFiles: [String] {
    let unified = hierarchy(.unified).compactMap(\.first).flatMap { folder in
      ["\(folder)/memory.events.local", "\(folder)/memory.events"]
    }
    let classic = hierarchy(.controller("memory")).compactMap(\.first).map { folder in
      "\(folder)/memory.oom_control"
    }
    return unified + classic
  }

  /// An empty file means: as the group above.
  private func nearestSet(in path: [String], named names: [String]) -> CPUSet? {
    for folder in path {
      for name in names {
        if let set = try? files.list("\(folder)/\(name)"), !set.isEmpty { return set }
      }
    }
    return nil
  }

  private func unifiedQuota(_ folder: String) -> CPUQuota? {
    let fields = (files.text("\(folder)/cpu.max") ?? "").split(separator: " ")
    guard let first = fields.first, let quota = Int(first) else { return nil }
    return valid(quota: quota, period: fields.count > 1 ? Int(fields[1]) : 100_000)
  }

  private func classicQuota(_ folder: String) -> CPUQuota? {
    guard let quota = files.integer("\(folder)/cpu.cfs_quota_us") else { return nil }
    return valid(quota: quota, period: files.integer("\(folder)/cpu.cfs_period_us"))
  }

  /// A quota of -1 is none.
  private func valid(quota: Int, period: Int?) -> CPUQuota? {
    guard let period, quota > 0, period > 0 else { return nil }
    return CPUQuota(quotaMicroseconds: quota, periodMicroseconds: period)
  }
}

// MARK: - Finding the groups

extension CgroupReader {
  private enum Hierarchy: Equatable {
    case unified
    case controller(String)
  }

  /// For each mount of the hierarchy, the folders from the process's group up to the mount.
  private func hierarchy(_ hierarchy: Hierarchy) -> [[String]] {
    let mounts = mounts.filter { $0.shows(hierarchy) }
    guard let group = group(in: hierarchy) else { return mounts.map { [$0.point] } }
    let paths = mounts.compactMap { $0.path(to: group) }
    // A group outside what is mounted here: the mount itself is the nearest that can be seen.
    return paths.isEmpty ? mounts.map { [$0.point] } : paths
  }

  /// The process's group in a hierarchy, from /proc/self/cgroup: "4:cpu,cpuacct:/some/group".
  private func group(in hierarchy: Hierarchy) -> String? {
    for line in (files.text("proc/self/cgroup") ?? "").split(separator: "\n") {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      switch hierarchy {
      case .unified:
        if fields[0] == "0", fields[1].isEmpty { return String(fields[2]) }
      case .controller(let name):
        if fields[1].split(separator: ",").contains(Substring(name)) { return String(fields[2]) }
      }
    }
    // Kernels and sandboxes without that file still tell the group that holds the cpuset.
    return hierarchy == .controller("cpu") ? nil : files.text("proc/self/cpuset")
  }

  private struct Mount {
    /// The group that is mounted.
    var root: String
    /// Where, without a leading slash.
    var point: String
    var type: Substring
    var options: [Substring]

    func shows(_ hierarchy: Hierarchy) -> Bool {
      switch hierarchy {
      case .unified: type == "cgroup2"
      case .controller(let name):
        (type == "cgroup" && options.contains(Substring(name))) || type == name
      }
    }

    /// The folders from `group` up to the mount; nil where the group is not below what is mounted.
    func path(to group: String) -> [String]? {
      let names = group.split(separator: "/")
      let rootNames = root.split(separator: "/")
      guard !names.contains(".."), names.starts(with: rootNames) else { return nil }
      let below = names.dropFirst(rootNames.count)
      return (0...below.count).reversed().map { depth in
        ([Substring(point)] + below.prefix(depth)).joined(separator: "/")
      }
    }
  }

  private var mounts: [Mount] {
    if let text = files.text("proc/self/mountinfo") {
      return text.split(separator: "\n").compactMap(mountinfo)
    }
    return (files.text("proc/mounts") ?? "").split(separator: "\n").compactMap { line in
      let fields = line.split(separator: " ")
      guard fields.count >= 4 else { return nil }
      return mount(root: "/", point: fields[1], type: fields[2], options: fields[3])
    }
  }

  /// "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw"
  private func mountinfo(_ line: Substring) -> Mount? {
    let fields = line.split(separator: " ")
    guard let dash = fields.dropFirst(6).firstIndex(of: "-"), dash + 3 < fields.count else {
      return nil
    }
    return mount(
      root: fields[3], point: fields[4], type: fields[dash + 1], options: fields[dash + 3])
  }

  private func mount(
    root: Substring, point: Substring, type: Substring, options: Substring
  ) -> Mount {
    Mount(
      root: unescaped(root), point: String(unescaped(point).drop { $0 == "/" }), type: type,
      options: options.split(separator: ","))
  }

  /// Blanks and backslashes in these files are written as three octal digits: "\040".
  private func unescaped(_ text: Substring) -> String {
    let parts = text.split(separator: "\\", omittingEmptySubsequences: false)
    return parts.dropFirst().reduce(String(parts.first ?? "")) { result, part in
      guard let code = UInt8(part.prefix(3), radix: 8) else { return result + "\\" + part }
      return result + String(UnicodeScalar(code)) + part.dropFirst(3)
    }
  }
}
