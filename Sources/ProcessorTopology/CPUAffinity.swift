// The CPU mask of the calling thread: reading, setting with proof, and setting for a while. The
// mask is the kernel's state, nothing is kept here. Threads and processes that the calling thread
// makes later inherit its mask.

package import SystemPackage

/// The calling thread's CPU mask.
public enum CPUAffinity {
  /// The CPUs that the calling thread may run on, read afresh.
  ///
  /// All online CPUs where a sandbox forbids the question. Empty while every CPU of the mask is
  /// offline: the kernel then runs the thread elsewhere.
  public static var current: CPUSet {
    (try? KernelAffinity.mask(of: 0)) ?? CPUTopology.current.online
  }

  /// Binds the calling thread to `cpus`, and reads the mask back.
  ///
  /// In async code the thread changes at every `await`: bind workers with `ProcessOptions` or a
  /// ``Placement`` instead. Costs three system calls.
  ///
  /// - Throws: ``PlacementError/narrowed(requested:effective:reason:)`` when the kernel dropped a
  ///   CPU, ``PlacementError/unavailable(cpu:reason:)`` when it accepted none. After an error the
  ///   mask is what it was before.
  public static func set(_ cpus: CPUSet) throws(PlacementError) {
    let before = current
    let effective = try setAvailable(cpus)
    if effective != cpus {
      // Restoring fails only where the old CPUs have gone offline meanwhile.
      try? KernelAffinity.set(before, of: 0)
      throw narrowing(of: cpus, to: effective)
    }
  }

  /// Binds the calling thread to those of `cpus` that the kernel accepts, and returns them.
  ///
  /// - Throws: ``PlacementError/unavailable(cpu:reason:)`` when it accepted none.
  @discardableResult
  package static func setAvailable(_ cpus: CPUSet) throws(PlacementError) -> CPUSet {
    guard let lowest = cpus.lowest else {
      throw .narrowed(requested: cpus, effective: cpus, reason: "an empty set has no CPU to run on")
    }
    do {
      try KernelAffinity.set(cpus, of: 0)
      return current
    } catch {
      let reason = error == .invalidArgument ? refusal(of: lowest) : error.description
      throw .unavailable(cpu: lowest, reason: reason)
    }
  }

  /// The mask of thread `threadID`; a process's number is its first thread.
  package static func mask(ofThread threadID: Int32) throws(Errno) -> CPUSet {
    try KernelAffinity.mask(of: threadID)
  }

  /// Binds thread `threadID` and reads its mask back, which is narrower where the kernel dropped a CPU.
  package static func set(_ cpus: CPUSet, ofThread threadID: Int32) throws(Errno) -> CPUSet {
    try KernelAffinity.set(cpus, of: threadID)
    return try KernelAffinity.mask(of: threadID)
  }

  /// The error for a mask that was read back as `effective`, with the reason for each lost CPU.
  package static func narrowing(of requested: CPUSet, to effective: CPUSet) -> PlacementError {
    let lost = requested.subtracting(effective)
    let reasons = lost.map { "CPU \($0): \(refusal(of: $0))" }
    return .narrowed(
      requested: requested, effective: effective, reason: reasons.joined(separator: "; "))
  }

  private static func refusal(of cpu: Int) -> String {
    CPUTopology.current.reasonAgainst(cpu) ?? "its cpuset forbids it"
  }
}

/// Runs `body` on the calling thread bound to `cpus`, then restores the mask.
///
/// Synchronous only: after an `await` another thread may continue.
///
/// - Throws: What ``CPUAffinity/set(_:)`` throws, in which case `body` did not run, or what `body`
///   throws.
public func withCPUAffinity<R: ~Copyable>(_ cpus: CPUSet, _ body: () throws -> R) throws -> R {
  let before = CPUAffinity.current
  try CPUAffinity.set(cpus)
  defer {
    // Fails only where every CPU of the old mask has gone offline or was taken away meanwhile.
    try? KernelAffinity.set(before, of: 0)
  }
  return try body()
}
