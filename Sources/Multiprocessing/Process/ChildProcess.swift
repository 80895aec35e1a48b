// A process that runs one body, with the shape of `Task`.

public import Glibc

/// A process that runs one body; like `Task`, it runs from its creation on.
///
///     let child = try ChildProcess(21) { $0 * 2 }
///     print(try await child.value)  // 42
///
/// Dropping it does not end it; the application's end does, whatever ends the application, unless
/// `ProcessOptions.outlivesParent` is set.
///
/// The application may handle SIGCHLD as it likes, ignore it, or reap all its children with `waitpid(-1)`:
/// nothing here depends on that signal, and no other child of the application is ever reaped. Where it takes
/// the status of one of ours, the status is asked of the kernel; see `ExitStatus.unknown`. A program that
/// reaps in a loop also reaps the fork server, without consequence.
public final class ChildProcess<Output: Sendable>: Sendable {
  let run: ChildRun
  private let decoder: ResultDecoder<Output>

  init(_ run: ChildRun, _ decoder: @escaping ResultDecoder<Output>) {
    self.run = run
    self.decoder = decoder
  }

  public var processIdentifier: pid_t { run.process.pid }

  public var name: String { run.name }

  /// False from the moment when the kernel has ended it.
  public var isRunning: Bool { run.process.isRunning }

  /// The body's result, or its error, or `ProcessError`.
  ///
  /// Cancelling the waiting task cancels only the waiting, as with `Task`; see ``cancel()``.
  public var value: Output {
    get async throws {
      let outcome = try await run.outcome()
      return try unsafe outcome.withUnsafeBytes { bytes in
        try unsafe decodeOutcome(bytes, IncomingTransfer(), decoder)
      }
    }
  }

  /// How it ended, once it has. When the waiting task is cancelled first, `.unknown`.
  public var exitStatus: ExitStatus {
    get async { await run.process.exitStatus(within: nil) ?? .unknown }
  }

  /// How it ended; nil when it still runs after `limit`.
  public func exitStatus(within limit: Duration) async -> ExitStatus? {
    await run.process.exitStatus(within: limit)
  }

  /// A pidfd, owned by this object; readable once the process has ended (poll, epoll). Where the kernel or the
  /// container refuses pidfds, the end of a pipe of which the same is true.
  public var exitDescriptor: FileDescriptor { FileDescriptor(rawValue: run.process.pidfd) }

  /// What the child wrote, where its destination is `.capture`; else ends at once. One consumer.
  public var standardOutput: CapturedOutput { CapturedOutput(capture: run.standardOutput) }
  public var standardError: CapturedOutput { CapturedOutput(capture: run.standardError) }

  /// Sends a signal to the process; without effect when it has ended.
  public func send(_ signal: Signal) { run.process.send(signal) }

  /// `Task.isCancelled` becomes true in the body; after a grace period of 5 s as ``terminate(grace:)``. A forked
  /// body sees nothing of it.
  public func cancel() { run.cancel(grace: .seconds(5)) }

  /// SIGTERM to its process group, then SIGKILL when it still runs after `grace`. Returns at once.
  public func terminate(grace: Duration = .seconds(5)) { run.process.terminate(grace: grace) }

  /// SIGKILL to its process group.
  public func kill() { run.process.kill() }
}
