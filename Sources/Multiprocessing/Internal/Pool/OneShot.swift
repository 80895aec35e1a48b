// A value that is handed over once.

internal import Synchronization

/// Holds a value that is not Sendable until one task takes it, which then has it alone.
final class OneShot<Value>: @unchecked Sendable {  // Taken once, under the lock.
  private let value: Guarded<Value?>

  init(_ value: sending Value) {
    self.value = Guarded(value)
  }

  /// For a value of which the caller knows, and the compiler does not, that nobody else has a part of it.
  init(uniquely value: Value) {
    self.value = Guarded(value)
  }

  /// nil from the second call on.
  func take() -> Value? {
    value.withLock { value in
      defer { value = nil }
      return value
    }
  }
}
