// Values that a worker process keeps from task to task.

internal import Synchronization

/// State of a worker process, one value per type: set in `Configuration.onWorkerStart`, used in bodies.
///
///     struct Model { … }
///     configuration.onWorkerStart = WorkerBody("model.bin") { WorkerState<Model>.set(try Model($0)) }
///     let labels = try await pool.map(images) { WorkerState<Model>.withValue { $0.label(…) } }
///
/// Each process has its own; a worker that replaces another one starts without. One lock per type guards the
/// value: a second use of the same type within `withValue` deadlocks, and so is ended by the runtime.
public enum WorkerState<Value> {
  public static func set(_ value: sending Value) {
    WorkerValues.holder(Value.self).set(value)
  }

  /// Traps, naming the type, where nothing was set.
  public static func withValue<R: ~Copyable, E: Error>(
    _ body: (inout Value) throws(E) -> R
  ) throws(E) -> R {
    try WorkerValues.holder(Value.self).withValue(body)
  }

  public static var isSet: Bool { WorkerValues.holder(Value.self).isSet }
}

extension WorkerState where Value: Sendable {
  /// A copy; traps, naming the type, where nothing was set.
  public static var current: Value { withValue { $0 } }
}

/// All values of this process, by type.
private enum WorkerValues {
  private static let holders = Mutex<[ObjectIdentifier: any Sendable & AnyObject]>([:])

  static func holder<Value>(_ type: Value.Type) -> Holder<Value> {
    holders.withLock { holders in
      if let holder = holders[ObjectIdentifier(type)] as? Holder<Value> { return holder }
      let holder = Holder<Value>()
      holders[ObjectIdentifier(type)] = holder
      return holder
    }
  }

  final class Holder<Value>: @unchecked Sendable {  // `lock` guards `value`.
    private let lock = Mutex(())
    private var value: Value?

    var isSet: Bool { lock.withLock { _ in value != nil } }

    func set(_ new: sending Value) {
      // The old value ends outside the lock: its end may run code of the user's.
      var old: Value? = new
      lock.withLock { _ in swap(&value, &old) }
      _ = old
    }

    func withValue<R: ~Copyable, E: Error>(
      _ body: (inout Value) throws(E) -> R
    ) throws(E) -> R {
      try lock.withLock { _ throws(E) -> R in
        guard value != nil else {
          fatalError(
            "WorkerState<\(Value.self)> is used before it was set; set it in onWorkerStart")
        }
        return try body(&value!)  // Just seen.
      }
    }
  }
}
