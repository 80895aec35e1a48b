// The mask of the calling thread, on this machine, and memory policies. Each test gives its thread
// back with the mask that it had.

import Foundation
import SystemPackage
import Testing

@testable import ProcessorTopology

@Suite("CPU affinity")
struct AffinityTests {
  /// Gives the thread the mask of the process, so that a mask that another test left behind cannot
  /// make this test pass.
  private func widestMask() throws -> CPUSet {
    let mask = CPUTopology.current.allowed
    try CPUAffinity.set(mask)
    return mask
  }

  @Test("the mask that is read is the one that /proc shows")
  func readsMask() throws {
    let status = try String(contentsOfFile: "/proc/thread-self/status", encoding: .utf8)
    let line = try #require(
      status.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed_list") })
    let list = try #require(line.split(separator: "\t").last)
    #expect(try CPUAffinity.current == CPUSet(list))
  }

  @Test("inside withCPUAffinity the thread has the asked mask, after it the old one")
  func bindsForAWhile() throws {
    let before = try widestMask()
    for cpu in before {
      let inside = try withCPUAffinity([cpu]) { CPUAffinity.current }
      #expect(inside == [cpu])
      #expect(CPUAffinity.current == before)
    }
  }

  @Test("the mask is restored when the body throws")
  func restoresAfterError() throws {
    struct Failure: Error {}
    let before = try widestMask()
    #expect(throws: Failure.self) {
      try withCPUAffinity(CPUSet(before.prefix(1))) { throw Failure() }
    }
    #expect(CPUAffinity.current == before)
  }

  @Test("a mask of which the kernel drops a CPU is refused, named, and leaves the old mask")
  func refusesNarrowing() throws {
    let before = try widestMask()
    let absent = 5000
    let kept = CPUSet(before.prefix(1))
    let asked = kept.union([absent])
    let error = #expect(throws: PlacementError.self) { try CPUAffinity.set(asked) }
    guard case .narrowed(asked, kept, let reason) = error else {
      Issue.record("not narrowed: \(String(describing: error))")
      return
    }
    #expect(reason.contains("CPU 5000"))
    #expect(reason.contains("no such CPU"))
    #expect(CPUAffinity.current == before)
  }

  @Test("a mask of CPUs that are not there is refused and names one")
  func refusesAbsent() throws {
    let before = try widestMask()
    #expect(throws: PlacementError.unavailable(cpu: 4000, reason: "this machine has no such CPU")) {
      try CPUAffinity.set([4000, 4001])
    }
    #expect(throws: PlacementError.self) { try CPUAffinity.set([]) }
    #expect(throws: PlacementError.self) { try withCPUAffinity([4000]) { Issue.record("ran") } }
    #expect(CPUAffinity.current == before)
  }

  @Test(
    "reading grows its buffer until the kernel accepts it",
    arguments: [8, 128, 129, 1024, 1032, 131_072])
  func growsBuffer(neededBytes: Int) throws {
    var calls = 0
    let mask = try KernelAffinity.mask(filledBy: { words in
      calls += 1
      guard words.count * 8 >= neededBytes else { return -Errno.invalidArgument.rawValue }
      words[(neededBytes - 1) / 8] = 1
      return Int32(neededBytes)
    })
    #expect(mask == [(neededBytes - 1) / 8 * 64])
    #expect(calls <= 12)
  }

  @Test("reading gives up when no buffer is accepted, and passes other errors on at once")
  func givesUp() {
    #expect(throws: Errno.invalidArgument) {
      try KernelAffinity.mask(filledBy: { _ in -Errno.invalidArgument.rawValue })
    }
    var calls = 0
    #expect(throws: Errno.noSuchProcess) {
      try KernelAffinity.mask(filledBy: { _ in
        calls += 1
        return -Errno.noSuchProcess.rawValue
      })
    }
    #expect(calls == 1)
  }
}

@Suite("Memory policies")
struct MemoryPolicyTests {
  @Test("a policy has the kernel's number and a mask of its nodes")
  func kernelForm() {
    #expect(MemoryPolicy.default.kernelMode == 0)
    #expect(MemoryPolicy.preferred(1).kernelMode == 1)
    #expect(MemoryPolicy.bind([0]).kernelMode == 2)
    #expect(MemoryPolicy.interleave([0]).kernelMode == 3)
    #expect(MemoryPolicy.local.kernelMode == 4)
    #expect(MemoryPolicy.local.kernelNodes == [])
    #expect(MemoryPolicy.bind([0, 3, 64]).kernelNodes == [9, 1])
    #expect(MemoryPolicy.preferred(2).kernelNodes == [4])
    #expect(MemoryPolicy.bind([-1]).kernelNodes == [])
    #expect(MemoryPolicy.bind([.max]).kernelNodes == [])
  }

  @Test("a policy for a node that is not there is an error, and leaves the thread as it was")
  func refusesAbsentNode() {
    for policy in [MemoryPolicy.bind([900]), .interleave([900]), .preferred(900), .preferred(-1)] {
      #expect(throws: Errno.self) { try policy.applyToCallingThread() }
    }
  }

  @Test("policies survive coding")
  func coding() throws {
    let policies: [MemoryPolicy] = [
      .default, .local, .bind([0, 1]), .preferred(1), .interleave([2]),
    ]
    let data = try JSONEncoder().encode(policies)
    #expect(try JSONDecoder().decode([MemoryPolicy].self, from: data) == policies)
  }
}
