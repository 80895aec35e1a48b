// The kernel's affinity calls with sets of any size. The kernel refuses a buffer that cannot hold
// all the machine's possible CPUs, however few are set, so reading starts small and doubles.

internal import CMultiprocessing
internal import SystemPackage

enum KernelAffinity {
  private static let firstWordCount = 16
  /// Twice what the highest number of a `CPUSet` needs.
  private static let lastWordCount = 1 << 15

  /// The mask of thread `threadID`; 0 is the calling thread, a process number its first thread.
  static func mask(of threadID: Int32) throws(Errno) -> CPUSet {
    try mask(filledBy: { words in
      unsafe words.withUnsafeMutableBufferPointer { buffer in
        unsafe mproc_affinity_get(
          threadID, buffer.baseAddress, buffer.count * MemoryLayout<UInt>.stride)
      }
    })
  }

  /// The mask that `call` fills in, which answers bytes filled or -errno, as the kernel does.
  static func mask(filledBy call: (inout [UInt]) -> Int32) throws(Errno) -> CPUSet {
    var wordCount = firstWordCount
    while true {
      var words = [UInt](repeating: 0, count: wordCount)
      let result = call(&words)
      if result >= 0 { return CPUSet(words: words) }
      let error = Errno(rawValue: -result)
      guard error == .invalidArgument, wordCount < lastWordCount else { throw error }
      wordCount *= 2
    }
  }

  /// Sets the mask of thread `threadID`; 0 is the calling thread.
  static func set(_ cpus: CPUSet, of threadID: Int32) throws(Errno) {
    let words = cpus.words
    let result = unsafe words.withUnsafeBufferPointer { buffer in
      unsafe mproc_affinity_set(
        threadID, buffer.baseAddress, buffer.count * MemoryLayout<UInt>.stride)
    }
    if result < 0 { throw Errno(rawValue: -result) }
  }
}
