// A body's error that could not travel as itself.

/// An error that a body threw and that is not `Codable`: its text.
public struct RemoteError: Error, Sendable, Hashable, Codable, CustomStringConvertible {
  /// The type of the error in the worker.
  public var typeName: String
  /// What the error says of itself.
  public var message: String
  /// Where it was thrown, if known.
  public var location: String?

  public init(typeName: String, message: String, location: String? = nil) {
    self.typeName = typeName
    self.message = message
    self.location = location
  }

  public var description: String {
    "\(typeName): \(message)" + (location.map { " (thrown at \($0))" } ?? "")
  }
}
