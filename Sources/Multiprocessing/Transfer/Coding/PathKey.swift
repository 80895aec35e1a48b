// How the coder names what it is working on: steps of coding paths, and frames.

/// One step from a value to the value that holds it. A name is only its length: the name itself
/// stands in the encoded bytes before the slot, and is read from there when something fails.
enum PathKey {
  case root
  case name(byteCount: Int)
  case index(Int)
}

/// Names a frame of a running encoding or decoding. Frames end with the value they belong to and
/// their places are used again, so a container that outlives its value is recognised by the serial
/// number.
struct FrameID {
  var index: Int
  var serial: Int

  /// No frame ever has this name.
  static let none = FrameID(index: -1, serial: -1)
  /// What the top is while no frame is open; not even `none` is equal to it.
  static let nothingOpen = FrameID(index: -1, serial: -2)
}

/// A key as coding paths show it, in place of the type's own key type.
struct AnyCodingKey: CodingKey {
  var stringValue: String
  var intValue: Int?

  init(stringValue: String) {
    self.stringValue = stringValue
  }

  init(intValue: Int) {
    stringValue = "Index \(intValue)"
    self.intValue = intValue
  }
}

extension SlotBytes {
  /// The key of the slot at `start`; nil for the outermost value.
  func codingKey(_ key: PathKey, before start: Int) -> AnyCodingKey? {
    switch key {
    case .root: nil
    case .index(let index): AnyCodingKey(intValue: index)
    case .name(let byteCount):
      AnyCodingKey(stringValue: (try? string(start - byteCount..<start)) ?? "?")
    }
  }
}
