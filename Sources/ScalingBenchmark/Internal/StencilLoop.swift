// The inner loops of the stencil, over raw pointers so that they are vectorised without a check in
// them.

internal import Multiprocessing

enum StencilLoop {
  static let radius = 2
  /// Of a neighbour at distance 1 and at distance 2: 1 / (2 * distance * radius).
  private static let weights = (0.25, 0.125)

  /// A plane that rises by 1 with each row and each column; nothing in the other grid.
  static func fill(_ grids: StencilGrids, _ rows: Range<Int>) {
    let side = grids.side
    let range = rows.lowerBound * side..<rows.upperBound * side
    grids.input[range].withMutableSpan { span in
      for index in span.indices {
        let place = range.lowerBound + index
        span[index] = Double(place / side + place % side)
      }
    }
    grids.output[range].withMutableSpan { span in
      for index in span.indices { span[index] = 0 }
    }
  }

  /// Adds the weighted sum of the neighbours, where all of them are in the grid.
  static func apply(_ grids: StencilGrids, _ rows: Range<Int>) {
    let side = grids.side
    let inner = rows.clamped(to: radius..<max(radius, side - radius))
    guard !inner.isEmpty, side > 2 * radius else { return }
    grids.input.withSpan { input in
      unsafe input.withUnsafeBufferPointer { input in
        grids.output[inner.lowerBound * side..<inner.upperBound * side].withMutableSpan { output in
          unsafe output.withUnsafeMutableBufferPointer { output in
            for row in inner {
              unsafe applyRow(input, output, row, row - inner.lowerBound, side)
            }
          }
        }
      }
    }
  }

  @inline(__always)
  private static func applyRow(
    _ input: UnsafeBufferPointer<Double>, _ output: UnsafeMutableBufferPointer<Double>, _ row: Int,
    _ outputRow: Int, _ side: Int
  ) {
    let (near, far) = weights
    let (from, to) = (row * side, outputRow * side)
    for column in radius..<side - radius {
      let place = from + column
      let horizontal =
        unsafe near * (input[place + 1] - input[place - 1])
        + far * (input[place + 2] - input[place - 2])
      let vertical =
        unsafe near * (input[place + side] - input[place - side])
        + far * (input[place + 2 * side] - input[place - 2 * side])
      unsafe output[to + column] += horizontal + vertical
    }
  }

  static func increment(_ grids: StencilGrids, _ rows: Range<Int>) {
    let side = grids.side
    grids.input[rows.lowerBound * side..<rows.upperBound * side].withMutableSpan { span in
      unsafe span.withUnsafeMutableBufferPointer { buffer in
        for index in buffer.indices { unsafe buffer[index] += 1 }
      }
    }
  }

  /// The mean of the absolute values of the points that the stencil changes.
  static func meanOfInterior(_ grid: SharedArray<Double>, side: Int) -> Double {
    let inner = radius..<max(radius, side - radius)
    return grid.withSpan { span in
      var sum = 0.0
      for row in inner {
        for column in inner { sum += abs(span[row * side + column]) }
      }
      return sum / Double(inner.count * inner.count)
    }
  }
}
