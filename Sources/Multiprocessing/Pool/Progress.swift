// How far a map or a stream is, and who is told.

extension ProcessPool {
  /// How far one call of `map`, `forEach`, `results` or `outcomes` is.
  public struct Progress: Sendable, Hashable {
    /// Items that have ended, in whatever way. An item counts when the record has ended in which it travels.
    public var completed: Int
    /// nil: the input's length is not known.
    public var total: Int?
    /// Those of `completed` that ended without a value: failed, crashed, or cancelled.
    public var failed: Int

    public init(completed: Int, total: Int?, failed: Int) {
      self.completed = completed
      self.total = total
      self.failed = failed
    }
  }

  /// Who is told how far each `map`, `forEach`, `results` and `outcomes` of a pool is.
  ///
  /// The calling task itself reports, between feeding the workers and taking results: at the latest when the
  /// time has come and something has changed, also while nothing else happens, and once more at the end, also
  /// when the call throws. A stream reports while its consumer asks for results, and a last time when it has
  /// ended or the loop was left.
  public enum ProgressReporting: Sendable {
    case none
    /// A line on standard error when that is a terminal, redrawn ten times a second and finished at the end.
    /// Maps that run at the same time share the line. Else lines, every five seconds at most.
    case bar
    /// A line on standard error whenever something has changed, at most so often, and at the end.
    case lines(every: Duration)
    /// Calls the handler in this process, in the task that called `map`, at most every 100 ms and once at the
    /// end; it may capture. While it runs, its map is not fed.
    ///
    /// A stream of progress values:
    ///
    ///     let (values, continuation) = AsyncStream.makeStream(
    ///       of: ProcessPool.Progress.self, bufferingPolicy: .bufferingNewest(1))
    ///     let pool = try ProcessPool(
    ///       configuration: .init { $0.progress = .handler { continuation.yield($0) } })
    ///     let watching = Task { for await progress in values { show(progress) } }
    ///     let squares = try await pool.map(0..<1_000) { $0 * $0 }
    ///     continuation.finish()
    case handler(@Sendable (Progress) -> Void)
  }
}
