// The inner loops of the triad, over raw pointers so that they are vectorised without a check in
// them.

internal import Multiprocessing

enum TriadLoop {
  /// STREAM's scalar.
  static let factor = 3.0

  /// The relative error that STREAM allows elements of eight bytes.
  private static let tolerance = 1e-13

  /// `target[i] = addend[i] + factor * scaled[i]`, for arrays of one size.
  static func pass(
    into target: SharedArray<Double>, adding addend: SharedArray<Double>,
    scaled: SharedArray<Double>
  ) {
    addend.withSpan { addend in
      unsafe addend.withUnsafeBufferPointer { addend in
        scaled.withSpan { scaled in
          unsafe scaled.withUnsafeBufferPointer { scaled in
            target.withMutableSpan { target in
              unsafe target.withUnsafeMutableBufferPointer { target in
                unsafe add(addend, scaled, into: target)
              }
            }
          }
        }
      }
    }
  }

  private static func add(
    _ addend: UnsafeBufferPointer<Double>, _ scaled: UnsafeBufferPointer<Double>,
    into target: UnsafeMutableBufferPointer<Double>
  ) {
    precondition(addend.count == target.count && scaled.count == target.count)
    let factor = factor
    for index in 0..<target.count {
      unsafe target[index] = addend[index] + factor * scaled[index]
    }
  }

  /// The first element that differs from `value`, a NaN included; nil: none.
  static func firstIndex(in span: Span<Double>, notNear value: Double) -> Int? {
    let bound = tolerance * abs(value)
    return unsafe span.withUnsafeBufferPointer { buffer in
      unsafe buffer.firstIndex { !(abs($0 - value) <= bound) }
    }
  }
}
