// The one thread of ours that runs the application's side: it waits, in epoll, for everything that processes
// do, and for deadlines. It lives as long as the application, whatever number of pools come and go. A second
// one like it copies what they write to standard error.

internal import CMultiprocessing
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// Calls handlers when descriptors become readable and when deadlines pass, on a thread of its own.
///
/// Handlers must not block; one that was just removed may be called once more.
final class Reactor: Sendable {
  typealias Handler = @Sendable () -> Void
  typealias Token = UInt64

  private struct Timer {
    var deadline: UInt64  // Nanoseconds of mproc_now_ns.
    var action: Handler
  }

  private struct State {
    var handlers: [Token: Handler] = [:]
    var timers: [Token: Timer] = [:]
    var lastToken: Token = 0
    /// Nanoseconds during which this process did not run, as far as that was noticed.
    var stopped: UInt64 = 0
  }

  /// With timers pending the thread wakes at least so often, so that time during which the process is stopped,
  /// as by a debugger, is seen and does not count. Being that late on a loaded machine counts as stopped, too.
  private static let longestWait: Int32 = 500
  private static let wakeToken: Token = 0
  private static let batch = 64

  private let state = Mutex(State())
  /// Held by the thread while it runs anything but its wait.
  private let busy = Mutex(())
  private let epoll: Int32
  private let wakeDescriptor: Int32

  /// The application's reactor, started at first use.
  static func shared() throws(ProcessError) -> Reactor {
    switch mproc_current_role() {
    case MPROC_ROLE_FORKED.rawValue:
      // It has the reactor's memory, but not its thread.
      throw .invalidConfiguration(
        "the body of ChildProcess.forking cannot start processes or pools: its process has none of the threads"
          + " of the one it was copied from; use ChildProcess(…) with .forkServer or .spawn")
    case MPROC_ROLE_SERVER.rawValue:
      throw .invalidConfiguration(
        "a preload body cannot start processes or pools: the workers are copies of its process, which must"
          + " have one thread; use onWorkerStart")
    default: break
    }
    return try get(instance, "mproc-reactor")
  }

  private static let instance = Mutex<Reactor?>(nil)

  /// A second one, whose handlers may wait for whoever reads the application's standard error.
  static func standardError() throws(ProcessError) -> Reactor {
    _ = try shared()
    return try get(standardErrorInstance, "mproc-stderr")
  }

  private static let standardErrorInstance = Mutex<Reactor?>(nil)

  private static func get(
    _ instance: borrowing Mutex<Reactor?>, _ name: StaticString
  ) throws(ProcessError) -> Reactor {
    try instance.withLock { instance throws(ProcessError) in
      if let instance { return instance }
      // What the kernel refuses now it may grant the next time.
      let reactor = try Reactor()
      try reactor.start(name)
      instance = reactor
      return reactor
    }
  }

  private init() throws(ProcessError) {
    mproc_reserve_standard_streams()
    epoll = try check(mproc_epoll_create(), "epoll_create1")
    let eventfd = mproc_eventfd()
    if eventfd < 0 { _ = mproc_close(epoll) }
    wakeDescriptor = try check(eventfd, "eventfd")
  }

  /// Only of one that was not started: its thread keeps the other.
  deinit {
    _ = mproc_close(epoll)
    _ = mproc_close(wakeDescriptor)
  }

  private func start(_ name: StaticString) throws(ProcessError) {
    try check(mproc_epoll_add(epoll, wakeDescriptor, Self.wakeToken), "epoll_ctl")
    // Once here: what the thread does outside `busy` then takes none of the runtime's locks.
    _ = mproc_eventfd_ring(wakeDescriptor)
    var tokens = [Token](repeating: 0, count: Self.batch)
    turn(&tokens)
    let context = unsafe Unmanaged.passRetained(self)
    let started = unsafe mproc_thread_start(
      UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self),
      { context in
        guard let context = unsafe context else { return nil }
        unsafe Unmanaged<Reactor>.fromOpaque(context).takeRetainedValue().loop()
      }, context.toOpaque())
    if started < 0 { unsafe context.release() }
    try check(started, "pthread_create")
  }

  /// Calls `body` while the threads of ours run nothing. A fork in it does not copy locks of the runtime that they
  /// held, as they do while they use a generic type for the first time.
  func whilePaused<R>(_ body: () -> R) -> R {
    busy.withLock { _ in
      guard let second = Self.standardErrorInstance.withLock(\.self) else { return body() }
      // It may be kept waiting by whoever reads, and then holds nothing.
      for _ in 0..<100 {
        if let result = second.busy.withLockIfAvailable({ _ in body() }) { return result }
        usleep(100)
      }
      return body()
    }
  }

  // MARK: - Registration

  /// Calls `handler` whenever `descriptor` is readable or hung up, until it is removed.
  func add(_ descriptor: Int32, _ handler: @escaping Handler) throws(ProcessError) -> Token {
    try add(handler) { mproc_epoll_add(epoll, descriptor, $0) }
  }

  /// Calls `handler` once, when `descriptor` is ready or hung up; it must be removed then, too.
  func addOnce(
    _ descriptor: Int32, forOutput: Bool, _ handler: @escaping Handler
  ) throws(ProcessError) -> Token {
    try add(handler) { mproc_epoll_add_once(epoll, descriptor, $0, forOutput) }
  }

  private func add(
    _ handler: @escaping Handler, _ register: (Token) -> Int32
  ) throws(ProcessError) -> Token {
    let token = state.withLock { state in
      state.lastToken += 1
      state.handlers[state.lastToken] = handler
      return state.lastToken
    }
    let result = register(token)
    if result < 0 { state.withLock { _ = $0.handlers.removeValue(forKey: token) } }
    try check(result, "epoll_ctl")
    return token
  }

  /// Must be called before the descriptor is closed.
  func remove(_ token: Token, _ descriptor: Int32) {
    _ = mproc_epoll_remove(epoll, descriptor)
    // The handler is released after the lock: what it holds may call back.
    let handler = state.withLock { $0.handlers.removeValue(forKey: token) }
    _ = handler
  }

  /// Calls `action` once, when `delay` has passed.
  @discardableResult
  func schedule(after delay: Duration, _ action: @escaping Handler) -> Token {
    let deadline = mproc_now_ns() &+ delay.nanoseconds
    let token = state.withLock { state in
      state.lastToken += 1
      state.timers[state.lastToken] = Timer(deadline: deadline, action: action)
      return state.lastToken
    }
    _ = mproc_eventfd_ring(wakeDescriptor)
    return token
  }

  func cancel(_ timer: Token) {
    let removed = state.withLock { $0.timers.removeValue(forKey: timer) }
    _ = removed
  }

  // MARK: - The thread

  private func loop() -> Never {
    var tokens = [Token](repeating: 0, count: Self.batch)
    while true { turn(&tokens) }
  }

  private func turn(_ tokens: inout [Token]) {
    let timeout = busy.withLock { _ in runTimers() }
    let began = mproc_now_ns()
    let ready = unsafe tokens.withUnsafeMutableBufferPointer { buffer in
      unsafe mproc_epoll_wait(epoll, buffer.baseAddress, Int32(buffer.count), timeout)
    }
    busy.withLock { _ in
      if timeout >= 0 { noteStop(mproc_now_ns() - began, UInt64(timeout) * 1_000_000) }
      for token in tokens.prefix(max(0, Int(ready))) { handle(token) }
    }
  }

  private func handle(_ token: Token) {
    if token == Self.wakeToken {
      _ = mproc_eventfd_take(wakeDescriptor)
    } else if let handler = state.withLock({ $0.handlers[token] }) {
      handler()
    }
  }

  /// Nanoseconds of which those during which the process was stopped are left out.
  var runningTime: UInt64 { state.withLock { mproc_now_ns() - $0.stopped } }

  /// Moves all deadlines when a wait took much longer than it was to.
  private func noteStop(_ waited: UInt64, _ expected: UInt64) {
    guard waited > expected + 250_000_000 else { return }
    let late = waited - expected
    state.withLock { state in
      state.stopped += late
      for token in state.timers.keys { state.timers[token]?.deadline &+= late }
    }
  }

  /// Runs what is due; milliseconds until the next deadline, -1 without one.
  private func runTimers() -> Int32 {
    while true {
      let now = mproc_now_ns()
      let (due, next) = state.withLock { state -> ([Handler], UInt64?) in
        guard !state.timers.isEmpty else { return ([], nil) }
        let due = state.timers.filter { $0.value.deadline <= now }
        for token in due.keys { state.timers.removeValue(forKey: token) }
        return (
          due.sorted { $0.value.deadline < $1.value.deadline }.map(\.value.action),
          state.timers.values.lazy.map(\.deadline).min()
        )
      }
      if due.isEmpty {
        guard let next else { return -1 }
        return min(Self.longestWait, Int32(clamping: (next - now + 999_999) / 1_000_000))
      }
      for action in due { action() }
    }
  }
}

extension Duration {
  /// Whole nanoseconds, from 0 to half of what fits: a longer wait is as good as for ever.
  var nanoseconds: UInt64 {
    guard self > .zero else { return 0 }
    // Before it is taken apart: there are durations of more seconds than an Int64 can count.
    guard self < .seconds(Int64.max / 2_000_000_000) else { return UInt64(Int64.max / 2) }
    let (seconds, attoseconds) = components
    return UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds) / 1_000_000_000
  }
}

/// The result of a call of the C core, or `startFailed` with the name of what failed.
@discardableResult
func check(_ result: Int32, _ operation: String) throws(ProcessError) -> Int32 {
  guard result < 0 else { return result }
  throw .startFailed(Errno(rawValue: -result), operation: operation)
}
