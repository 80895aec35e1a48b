// Quotas and cpusets of made-up control group trees.

import SystemPackage
import Testing

@testable import ProcessorTopology

private let unifiedMount =
  "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
private let classicMount =
  "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"

struct QuotaCase: Sendable, CustomTestStringConvertible {
  var testDescription: String
  var group: String
  var mounts: String
  var files: [String: String]
  var cpuCount: Int?

  init(
    _ name: String, group: String, mounts: String = unifiedMount, files: [String: String],
    cpuCount: Int?
  ) {
    testDescription = name
    self.group = group
    self.mounts = mounts
    self.files = files
    self.cpuCount = cpuCount
  }

  static let unified: [QuotaCase] = [
    QuotaCase("no limit file", group: "0::/\n", files: [:], cpuCount: nil),
    QuotaCase("max", group: "0::/a\n", files: ["a/cpu.max": "max 100000\n"], cpuCount: nil),
    QuotaCase("leaf", group: "0::/a\n", files: ["a/cpu.max": "200000 100000\n"], cpuCount: 2),
    QuotaCase(
      "a fraction is rounded up", group: "0::/a\n", files: ["a/cpu.max": "150000 100000"],
      cpuCount: 2),
    QuotaCase("below one", group: "0::/a\n", files: ["a/cpu.max": "1000 100000"], cpuCount: 1),
    QuotaCase(
      "another period", group: "0::/a\n", files: ["a/cpu.max": "150000 50000"], cpuCount: 3),
    QuotaCase("no period", group: "0::/a\n", files: ["a/cpu.max": "300000"], cpuCount: 3),
    QuotaCase(
      "a tighter ancestor", group: "0::/a/b/c\n",
      files: ["a/b/c/cpu.max": "800000 100000", "a/cpu.max": "300000 100000"], cpuCount: 3),
    QuotaCase(
      "a tighter leaf", group: "0::/a/b\n",
      files: ["a/b/cpu.max": "200000 100000", "a/cpu.max": "300000 100000"], cpuCount: 2),
    QuotaCase(
      "the mount's own, as in a cgroup namespace", group: "0::/\n",
      files: ["cpu.max": "400000 100000"], cpuCount: 4),
    QuotaCase(
      "a sibling does not count", group: "0::/a\n", files: ["b/cpu.max": "100000 100000"],
      cpuCount: nil),
    QuotaCase(
      "a mount of a part of the tree", group: "0::/docker/abc/x\n",
      mounts: unifiedMount.replacing(" / /sys", with: " /docker/abc /sys"),
      files: ["x/cpu.max": "500000 100000", "docker/abc/x/cpu.max": "100000 100000"], cpuCount: 5),
    QuotaCase(
      "a group outside the mount: the mount itself", group: "0::/../other\n",
      files: ["cpu.max": "600000 100000", "other/cpu.max": "100000 100000"], cpuCount: 6),
    QuotaCase("nonsense", group: "0::/a\n", files: ["a/cpu.max": "lots of it"], cpuCount: nil),
    QuotaCase("a period of zero", group: "0::/a\n", files: ["a/cpu.max": "5 0"], cpuCount: nil),
  ]

  static let classic: [QuotaCase] = [
    QuotaCase(
      "v1 leaf", group: "4:cpu,cpuacct:/a\n", mounts: classicMount,
      files: ["a/cpu.cfs_quota_us": "250000\n", "a/cpu.cfs_period_us": "100000\n"], cpuCount: 3),
    QuotaCase(
      "v1 without limit", group: "4:cpu,cpuacct:/a\n", mounts: classicMount,
      files: ["a/cpu.cfs_quota_us": "-1\n", "a/cpu.cfs_period_us": "100000\n"], cpuCount: nil),
    QuotaCase(
      "v1 ancestor", group: "5:cpuset:/x\n4:cpu,cpuacct:/a/b\n0::/y\n", mounts: classicMount,
      files: [
        "a/b/cpu.cfs_quota_us": "-1", "a/b/cpu.cfs_period_us": "100000",
        "cpu.cfs_quota_us": "200000", "cpu.cfs_period_us": "100000",
        "x/cpu.cfs_quota_us": "100000", "x/cpu.cfs_period_us": "100000",
      ], cpuCount: 2),
  ]
}

@Suite("Control groups")
struct CgroupTests {
  private func quota(_ test: QuotaCase, below mount: String) throws -> CPUQuota? {
    var files = ["proc/self/cgroup": test.group, "proc/self/mountinfo": test.mounts]
    for (name, text) in test.files { files["\(mount)/\(name)"] = text }
    return try withTemporaryTree(files) { CPUTopology.cpuQuota(root: $0) }
  }

  @Test("the smallest cpu.max on the path counts", arguments: QuotaCase.unified)
  func unified(test: QuotaCase) throws {
    #expect(try quota(test, below: "sys/fs/cgroup")?.cpuCount == test.cpuCount)
  }

  @Test("the smallest cfs_quota_us on the path counts", arguments: QuotaCase.classic)
  func classic(test: QuotaCase) throws {
    #expect(try quota(test, below: "sys/fs/cgroup/cpu,cpuacct")?.cpuCount == test.cpuCount)
  }

  @Test("a mount point with blanks, and only /proc/mounts, are understood")
  func oddMounts() throws {
    let escaped = [
      "proc/self/cgroup": "0::/a\n",
      "proc/self/mountinfo": "30 23 0:26 / /my\\040groups\\134x rw - cgroup2 none rw\n",
      "my groups\\x/a/cpu.max": "200000 100000",
    ]
    #expect(try withTemporaryTree(escaped) { CPUTopology.cpuQuota(root: $0) }?.cpuCount == 2)
    let old = [
      "proc/self/cgroup": "0::/a\n", "proc/mounts": "none /cg cgroup2 rw 0 0\n",
      "cg/a/cpu.max": "300000 100000",
    ]
    #expect(try withTemporaryTree(old) { CPUTopology.cpuQuota(root: $0) }?.cpuCount == 3)
  }

  @Test("the usable count is the smaller of mask and quota, and at least one")
  func usableCount() {
    let quota = CPUQuota(quotaMicroseconds: 250_000, periodMicroseconds: 100_000)
    #expect(CPUTopology.usableCPUCount(allowedCount: 8, quota: nil) == 8)
    #expect(CPUTopology.usableCPUCount(allowedCount: 8, quota: quota) == 3)
    #expect(CPUTopology.usableCPUCount(allowedCount: 2, quota: quota) == 2)
    #expect(CPUTopology.usableCPUCount(allowedCount: 0, quota: nil) == 1)
  }

  @Test("a cpuset limits the nodes that memory may come from")
  func memoryNodes() throws {
    let node = "sys/devices/system/node"
    let machine = [
      "sys/devices/system/cpu/online": "0-7", "\(node)/node0/cpumap": "f",
      "\(node)/node1/cpumap": "f0", "\(node)/node2/cpumap": "",
      "\(node)/node1/meminfo": "Node 1 MemTotal: 0 kB", "proc/self/cgroup": "0::/u\n",
      "proc/self/mountinfo": unifiedMount,
    ]
    #expect(try CPUTopology(files: machine).allowedNodes == [0, 2])
    let limited = machine.merging(["sys/fs/cgroup/u/cpuset.mems.effective": "1-3\n"]) { $1 }
    #expect(try CPUTopology(files: limited).allowedNodes == [2])
  }

  @Test("a cpuset limits the allowed CPUs of a recorded machine; an empty file means the parent's")
  func cpusets() throws {
    let machine = [
      "sys/devices/system/cpu/online": "0-7", "sys/devices/system/cpu/present": "0-7",
      "proc/self/cgroup": "3:cpuset:/a/b\n0::/u\n",
    ]
    func allowed(_ files: [String: String]) throws -> CPUSet {
      try CPUTopology(files: machine.merging(files) { $1 }).allowed
    }
    #expect(try allowed([:]) == "0-7")
    #expect(
      try allowed([
        "proc/self/mountinfo": unifiedMount, "sys/fs/cgroup/u/cpuset.cpus.effective": "1,6-9\n",
      ]) == "1,6,7")
    let classic = "33 31 0:30 / /cg rw - cgroup cgroup rw,cpuset\n"
    #expect(
      try allowed([
        "proc/self/mountinfo": classic, "cg/a/b/cpuset.cpus": "\n", "cg/a/cpuset.cpus": "2-3",
      ]) == "2,3")
    #expect(
      try allowed(["proc/mounts": "none /dev/cpuset cpuset rw 0 0", "dev/cpuset/a/b/cpus": "4"])
        == [4])
  }
}
