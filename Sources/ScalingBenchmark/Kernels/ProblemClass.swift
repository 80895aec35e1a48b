// The names by which a problem is chosen: which kernel, and how large. The sizes themselves stand
// with each kernel.

/// How large a problem is, after the classes of the NAS Parallel Benchmarks; each is 2 to 16 times
/// the one before.
public enum ProblemClass: String, Sendable, Hashable, CaseIterable {
  case s = "S"
  case w = "W"
  case a = "A"
  case b = "B"
  case c = "C"
}

/// What is computed.
public enum KernelName: String, Sendable, Hashable, CaseIterable {
  /// NAS EP: Gaussian deviates from a linear congruential generator. No memory traffic and nothing
  /// to wait for, so it shows what the processors can give.
  case ep
  /// STREAM's triad on arrays in shared memory: shows what the memory can give.
  case triad
  /// The Mandelbrot set row by row: rows differ in cost by orders of magnitude, so it shows how
  /// evenly work is handed out.
  case mandelbrot
  /// The star stencil of the Parallel Research Kernels on grids in shared memory: strips whose edges
  /// other workers read, and a meeting after each step.
  case stencil
  /// HPC Challenge's RandomAccess: updates all over a table in shared memory, which wait for memory.
  case gups
  /// NAS IS: the ranks of integer keys by counting, in three steps that follow each other.
  case sort = "is"
}

extension KernelName {
  /// Reads a list such as "ep,triad"; a kernel that is named twice runs once.
  public static func list(_ text: String) throws(ScalingError) -> [KernelName] {
    var kernels: [KernelName] = []
    for item in text.split(separator: ",", omittingEmptySubsequences: false) {
      guard let kernel = KernelName(rawValue: String(item)) else {
        let names = allCases.map(\.rawValue).joined(separator: ", ")
        throw .malformed(
          option: "--kernels", text: text, advice: "'\(item)' is not a kernel; there are \(names)")
      }
      if !kernels.contains(kernel) { kernels.append(kernel) }
    }
    return kernels
  }
}
