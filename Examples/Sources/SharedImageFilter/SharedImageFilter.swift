// A filter over an image in shared memory: the workers blur it where it lies, in parts, and nothing is copied.
//
//   SharedImageFilter [OUTPUT.pgm]

import Foundation
import Multiprocessing

@main
enum SharedImageFilter {
  static let width = 1_920
  static let height = 1_080
  static let rounds = 4

  static func main() async throws {
    let image = try SharedArray<UInt8>(count: width * height)
    let blurred = try SharedArray<UInt8>(count: width * height)
    try await withProcessPool { pool in
      // Whole rows, so that a part is a strip of the image.
      try await pool.forEach(over: image, grain: 8 * width) { part, range in
        for index in part.indices { part[index] = testPicture(range.lowerBound + index) }
      }
      print("contrast before: \(contrast(image))")
      var (from, to) = (image, blurred)
      for _ in 0..<rounds {
        try await pool.map(over: from, into: to, grain: 8 * width) { from, part, range in
          blur(from, &part, range)
        }
        swap(&from, &to)
      }
      print("contrast after \(rounds) rounds: \(contrast(from))")
      let copied = pool.statistics.workers.reduce(0) { $0 + $1.argumentByteCount }
      print(
        "\(rounds) rounds over \(width) x \(height) pixels: \(copied) bytes of arguments copied")
      if let path = CommandLine.arguments.dropFirst().first { try write(from, to: path) }
    }
  }

  /// A chessboard with a circle in it.
  static func testPicture(_ index: Int) -> UInt8 {
    let (row, column) = (index / width, index % width)
    let (x, y) = (column - width / 2, row - height / 2)
    let isLight = (row / 60 + column / 60).isMultiple(of: 2) != (x * x + y * y < 400 * 400)
    return isLight ? 230 : 25
  }

  /// The mean of each pixel and its neighbours above, below, left and right, as far as there are some.
  static func blur(_ from: Span<UInt8>, _ part: inout MutableSpan<UInt8>, _ range: Range<Int>) {
    for index in range {
      let (row, column) = (index / width, index % width)
      var (sum, count) = (Int(from[index]), 1)
      func add(_ neighbour: Int) {
        sum += Int(from[neighbour])
        count += 1
      }
      if row > 0 { add(index - width) }
      if row < height - 1 { add(index + width) }
      if column > 0 { add(index - 1) }
      if column < width - 1 { add(index + 1) }
      part[index - range.lowerBound] = UInt8(sum / count)
    }
  }

  /// The sum of the differences between neighbours in a row: what a blur makes smaller.
  static func contrast(_ image: SharedArray<UInt8>) -> Int {
    image.withSpan { pixels in
      var sum = 0
      for index in 1..<pixels.count { sum += abs(Int(pixels[index]) - Int(pixels[index - 1])) }
      return sum
    }
  }

  static func write(_ image: SharedArray<UInt8>, to path: String) throws {
    var file = Data("P5\n\(width) \(height)\n255\n".utf8)
    image.withSpan { pixels in
      for index in pixels.indices { file.append(pixels[index]) }
    }
    try file.write(to: URL(fileURLWithPath: path))
    print("written to \(path)")
  }
}
