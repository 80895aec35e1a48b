// From places in this program's files to functions and lines.
//
// Nothing is looked up until somebody reads a report, each place once, and no more than a small part of one
// CPU's time is spent on it in the long run: a crash loop whose reports are all printed costs little.

internal import CMultiprocessing
internal import Glibc
internal import Synchronization

/// A function at a place; several where calls were inlined.
struct CrashFunction: Sendable {
  /// As the source has it; nil: not known.
  var name: String?
  /// Whether it is one that suspends, by its linker name.
  var isAsync: Bool
  var file: String?
  var line: Int
  var column: Int
  var isInlined: Bool
  var keepsFramePointer: Bool
  /// Whether the library begins here: what calls a body, or a child's own main function.
  var callsBodies: Bool
}

enum Symbolizer {
  private struct State {
    var known: [CrashPlace: [CrashFunction]] = [:]
    /// Nanoseconds that may be spent now, as of `lastTime`.
    var allowance: UInt64 = Symbolizer.mostAllowance
    var lastTime: UInt64 = 0
  }

  /// A second at once, and a twentieth of a CPU in the long run.
  private static let mostAllowance: UInt64 = 1_000_000_000
  private static let allowanceDivisor: UInt64 = 20
  private static let mostKnown = 8_192
  /// Some 0.2 s for what is looked up at once.
  private static let mostDebugBytes: UInt64 = 32 << 20

  private static let state = Mutex(State())

  /// The functions at each place, from the inside out; empty where nothing is known.
  static func functions(at places: [CrashPlace?]) -> [[CrashFunction]] {
    let wanted = Set(places.compactMap(\.self))
    var known: [CrashPlace: [CrashFunction]] = [:]
    let isAllowed = state.withLock { state in
      for place in wanted { known[place] = state.known[place] }
      return known.count < wanted.count && mayLookUp(&state)
    }
    if isAllowed {
      let start = mproc_now_ns()
      let missing = wanted.filter { known[$0] == nil }
      for (image, offsets) in Dictionary(grouping: missing, by: \.image) {
        known.merge(lookUp(image, offsets.map(\.offset))) { $1 }
      }
      let spent = mproc_now_ns() - start
      state.withLock { state in
        state.allowance -= min(spent, state.allowance)
        if state.known.count + missing.count > mostKnown { state.known = [:] }
        for place in missing { state.known[place] = known[place] }
      }
    }
    return places.map { $0.flatMap { known[$0] } ?? [] }
  }

  private static func mayLookUp(_ state: inout State) -> Bool {
    let now = mproc_now_ns()
    let earned = (now - state.lastTime) / allowanceDivisor
    state.allowance = min(mostAllowance, state.allowance + min(earned, mostAllowance))
    state.lastTime = now
    return state.allowance > 0
  }

  // MARK: - Looking up

  /// What the core tells of, by index.
  private final class Findings {
    var functions: [[CrashFunction]]
    init(_ count: Int) { functions = Array(repeating: [], count: count) }
  }

  private static func lookUp(
    _ image: UInt64, _ offsets: [UInt64]
  ) -> [CrashPlace: [CrashFunction]] {
    let offsets = Array(offsets.prefix(Int(MPROC_SYMBOLS_MOST)))
    let findings = Findings(offsets.count)
    // Where the file cannot be read, that nothing is known is all there is to remember.
    _ = unsafe mproc_symbols_find(
      image, offsets, offsets.count, mostDebugBytes,
      { context, index, symbol in
        guard let context = unsafe context, let symbol = unsafe symbol?.pointee else { return }
        let findings = unsafe Unmanaged<Findings>.fromOpaque(context).takeUnretainedValue()
        findings.functions[index].append(unsafe CrashFunction(symbol))
      }, Unmanaged.passUnretained(findings).toOpaque())
    return withExtendedLifetime(findings) {
      Dictionary(
        uniqueKeysWithValues: zip(offsets, findings.functions).map {
          (CrashPlace(image: image, offset: $0), $1)
        })
    }
  }
}

extension CrashFunction {
  fileprivate init(_ symbol: mproc_symbol) {
    let linkerName = unsafe symbol.function.map { unsafe String(cString: $0) }
    name = unsafe symbol.function.map { unsafe Self.demangled($0) }
    isAsync = linkerName.map(Self.isAsync) ?? false
    file = unsafe symbol.file.map { unsafe String(cString: $0) }
    line = unsafe Int(symbol.line)
    column = unsafe Int(symbol.column)
    isInlined = unsafe symbol.is_inlined
    keepsFramePointer = unsafe symbol.keeps_frame_pointer
    callsBodies = linkerName.map(Self.callsBodies) ?? false
  }

  private static func demangled(_ name: UnsafePointer<CChar>) -> String {
    guard let text = unsafe mproc_demangle(name) else { return unsafe String(cString: name) }
    defer { unsafe free(text) }
    let name = unsafe String(cString: text)
    // The closures of a main.swift: its code has no name.
    return name.hasSuffix(" in ") ? name + "main.swift" : name
  }

  private static func callsBodies(_ linkerName: String) -> Bool {
    linkerName.hasPrefix("$s15Multiprocessing10LoadedBody") || linkerName == "mproc_child_main"
  }

  /// The parts that the compiler cuts an async function into: their names end in TY or TQ, a number and "_".
  private static func isAsync(_ linkerName: String) -> Bool {
    guard linkerName.hasPrefix("$s"), linkerName.hasSuffix("_") else { return false }
    let kind = linkerName.dropLast().reversed().drop { $0.isNumber }
    return kind.starts(with: "YT") || kind.starts(with: "QT")
  }
}
