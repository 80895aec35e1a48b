// Why something cannot cross to another process.

/// Why a body or a value cannot cross to another process, and the cure.
public struct TransferFailure: Sendable, Hashable, CustomStringConvertible {
  /// The type of the body, argument or result.
  public var typeName: String
  public var reason: String
  /// What to change.
  public var cure: String

  public init(typeName: String, reason: String, cure: String) {
    self.typeName = typeName
    self.reason = reason
    self.cure = cure
  }

  public var description: String {
    "\(typeName) cannot be sent to another process: \(reason); \(cure)"
  }
}
