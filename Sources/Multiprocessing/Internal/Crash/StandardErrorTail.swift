// The end of what a process has written to its standard error.

struct StandardErrorTail {
  static let mostBytes = 8_192

  private var bytes: [UInt8] = []
  private var isCut = false

  mutating func append(_ new: some Collection<UInt8>) {
    bytes += new.suffix(Self.mostBytes)
    isCut = isCut || new.count > Self.mostBytes
    guard bytes.count > 2 * Self.mostBytes else { return }
    bytes.removeFirst(bytes.count - Self.mostBytes)
    isCut = true
  }

  /// nil when nothing was written; from the beginning of a line on, where that is possible.
  var text: String? {
    var rest = bytes.suffix(Self.mostBytes)
    if isCut || rest.count < bytes.count, let end = rest.firstIndex(of: UInt8(ascii: "\n")),
      end < rest.endIndex - 1
    {
      rest = rest[(end + 1)...]
    }
    return rest.isEmpty ? nil : String(decoding: rest, as: UTF8.self)
  }
}
