// TransferContext is how a handle's Codable conformance finds the transfer it is part of.

/// Lets handles of shared objects (locks, shared memory) travel inside values: the encoder's and
/// the decoder's `userInfo` hold the context of the transfer under `key`. An encoder that has none
/// there is not part of a transfer, and handles refuse to be encoded by it.
class TransferContext {
  static let key = CodingUserInfoKey(rawValue: "Multiprocessing.TransferContext")!  // Never nil.

  init() {}

  /// What `userInfo` is in a transfer with `context`.
  static func userInfo(_ context: TransferContext?) -> [CodingUserInfoKey: Any] {
    guard let context else { return [:] }
    return [key: context]
  }
}
