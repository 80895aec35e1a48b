// Which tasks are tried again, and when.

extension ProcessPool.Configuration {
  /// Whether a task that failed is tried again. Only for tasks that may run more than once: the first
  /// attempt may have got anywhere.
  public struct Retry: Sendable {
    private enum Rule: Sendable {
      case never
      case afterCrash(attempts: Int)
      case afterError(
        attempts: Int, ProcessPool.Configuration.Backoff, (@Sendable (any Error) -> Bool)?)
    }

    private let rule: Rule

    public static var never: Retry { Retry(rule: .never) }

    /// A task whose worker died is run again at once, `attempts` times in all. An input that has killed so
    /// many workers fails with a report that names its index and the attempts.
    public static func afterCrash(max attempts: Int) -> Retry {
      Retry(rule: .afterCrash(attempts: attempts))
    }

    /// A task that threw, or whose worker died, is run again after a pause, `attempts` times in all.
    ///
    /// Not for cancellation, deadlines, and values that cannot be sent.
    ///
    /// - Parameter shouldRetry: Chooses among the errors; called in this process, on any thread. nil: all.
    public static func afterError(
      max attempts: Int, backoff: Backoff = .exponential(),
      where shouldRetry: (@Sendable (any Error) -> Bool)? = nil
    ) -> Retry {
      Retry(rule: .afterError(attempts: attempts, backoff, shouldRetry))
    }
  }

  /// How long to wait before the next attempt.
  public enum Backoff: Sendable, Hashable {
    case constant(Duration)
    /// `initial` after the first attempt, `factor` times as long after each further one, at most `limit`.
    case exponential(
      initial: Duration = .milliseconds(100), factor: Double = 2, limit: Duration = .seconds(30))
  }
}

extension ProcessPool.Configuration.Retry {
  var isNever: Bool {
    if case .never = rule { true } else { false }
  }

  /// What to change, when it makes no sense.
  var problem: String? {
    switch rule {
    case .afterCrash(let attempts) where attempts < 1,
      .afterError(let attempts, _, _) where attempts < 1:
      "retry: \(attempts) attempts let nothing run; use 1 or more, or .never"
    case .afterError(_, .exponential(_, let factor, _), _) where !(factor.isFinite && factor > 0):
      "retry: a back-off by a factor of \(factor); use a positive number"
    default: nil
    }
  }

  /// Whether such a failure is looked at at all.
  func mayFollow(_ failure: ItemFailure) -> Bool {
    switch (rule, failure) {
    case (.afterCrash, .crashed), (.afterError, .crashed): true
    case (.afterError, .outcome(let bytes)):
      bytes.first == OutcomeTag.thrown.rawValue || bytes.first == OutcomeTag.remote.rawValue
    default: false
    }
  }

  /// How long to wait after so many attempts, the last of which failed so; nil: no more.
  func delay(after attempts: Int, _ error: @autoclosure () -> any Error) -> Duration? {
    switch rule {
    case .never: return nil
    case .afterCrash(let limit): return attempts < limit ? .zero : nil
    case .afterError(let limit, let backoff, let shouldRetry):
      guard attempts < limit, shouldRetry?(error()) ?? true else { return nil }
      return backoff.delay(after: attempts)
    }
  }
}

extension ProcessPool.Configuration.Backoff {
  func delay(after attempts: Int) -> Duration {
    switch self {
    case .constant(let delay): return max(.zero, delay)
    case .exponential(let initial, let factor, let limit):
      var delay = initial
      for _ in 1..<max(1, attempts) where delay < limit { delay = delay * factor }
      return max(.zero, min(delay, limit))
    }
  }
}
