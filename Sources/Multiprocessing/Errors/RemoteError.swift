// A body's error that could not travel as itself.

/// An error that a body threw and that is not `Codable`: its text.
public struct RemoteError: Error, Sendable, Hashable, Codable, CustomStringConvertible {
  /// The type of the error in the worker, with its module. A private or local type is named without what it
  /// is private to.
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

  init(_ error: any Error, message: String? = nil) {
    self.init(
      typeName: Self.name(of: type(of: error)), message: message ?? String(describing: error))
  }

  public var description: String {
    "\(typeName): \(message)" + (location.map { " (thrown at \($0))" } ?? "")
  }

  /// The standard library names the place that a type is private to by the address of its descriptor,
  /// "(unknown context at $55d0a4bae464).", which is another one in every process.
  static func name(of type: any Any.Type) -> String {
    let mark = "(unknown context at $"
    var name = ""
    var rest = String(reflecting: type)[...]
    while let first = rest.first {
      if rest.hasPrefix(mark), let end = rest.firstIndex(of: ")") {
        rest = rest[end...].dropFirst(2)
      } else {
        name.append(first)
        rest.removeFirst()
      }
    }
    return name
  }
}
