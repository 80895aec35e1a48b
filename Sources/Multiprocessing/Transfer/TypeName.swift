// The name of a type that another copy of the same executable can look up.

/// A type by name: its mangled name where that can be looked up, its place in the image where it cannot
/// (private and local types), and by its parts when it is a container of such types.
indirect enum TypeName: Codable, Hashable {
  case mangled(String)
  case context(CodePlace)
  case array(TypeName)
  case optional(TypeName)
  case set(TypeName)
  case dictionary(TypeName, TypeName)

  /// nil when the type cannot be named.
  init?(_ type: Any.Type) {
    if let name = _mangledTypeName(type), let found = _typeByName(name), found == type {
      self = .mangled(name)
    } else if let container = type as? any NameableContainer.Type {
      guard let name = container.nameByParts else { return nil }
      self = name
    } else if let place = TypeContext.place(of: type), TypeContext.type(at: place) == type {
      self = .context(place)
    } else {
      return nil
    }
  }

  /// The type in this process; nil when it is not here.
  func resolve() -> Any.Type? {
    switch self {
    case .mangled(let name): return _typeByName(name)
    case .context(let place): return TypeContext.type(at: place)
    case .array(let element):
      func array<T>(_: T.Type) -> Any.Type { [T].self }
      return element.resolve().map { _openExistential($0, do: array) }
    case .optional(let wrapped):
      func optional<T>(_: T.Type) -> Any.Type { T?.self }
      return wrapped.resolve().map { _openExistential($0, do: optional) }
    case .set(let element):
      func set<T: Hashable>(_: T.Type) -> Any.Type { Set<T>.self }
      guard let element = element.resolve() as? any Hashable.Type else { return nil }
      return set(element)
    case .dictionary(let key, let value):
      func dictionary<K: Hashable, V>(_: K.Type, _: V.Type) -> Any.Type { [K: V].self }
      guard let key = key.resolve() as? any Hashable.Type, let value = value.resolve() else {
        return nil
      }
      func withValue<V>(_ value: V.Type) -> Any.Type { dictionary(key, value) }
      return _openExistential(value, do: withValue)
    }
  }
}

/// A generic type that `TypeName` takes apart.
protocol NameableContainer {
  static var nameByParts: TypeName? { get }
}
extension Array: NameableContainer {
  static var nameByParts: TypeName? { TypeName(Element.self).map(TypeName.array) }
}
extension Optional: NameableContainer {
  static var nameByParts: TypeName? { TypeName(Wrapped.self).map(TypeName.optional) }
}
extension Set: NameableContainer {
  static var nameByParts: TypeName? { TypeName(Element.self).map(TypeName.set) }
}
extension Dictionary: NameableContainer {
  static var nameByParts: TypeName? {
    guard let key = TypeName(Key.self), let value = TypeName(Value.self) else { return nil }
    return .dictionary(key, value)
  }
}
