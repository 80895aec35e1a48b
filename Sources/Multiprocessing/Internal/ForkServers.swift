// The application's fork servers: one for each distinct environment, preload body and set of credentials,
// started at first use and started again when one has died.

internal import CMultiprocessing
internal import Glibc
internal import Synchronization
internal import SystemPackage

enum ForkServers {
  /// What tells the children of one server from those of another.
  struct Key: Hashable, Sendable {
    var environment: ChildEnvironment
    var preload: [UInt8]?
    /// A server keeps its credentials when the application gives up its own.
    private var credentials = [getuid(), geteuid(), getgid(), getegid()]

    init(_ environment: ChildEnvironment, _ preload: Preload?) {
      self.environment = environment
      self.preload = preload?.identity
    }
  }

  /// The place of a server. Its lock is held while the server starts, so that nobody starts another.
  private final class Place: Sendable {
    enum State {
      case empty
      case serving(ForkServer)
      /// Such a server has threads, and cannot fork.
      case useless
    }
    let state = Mutex(State.empty)
    let lastUse = Atomic<UInt64>(0)

    var isIdle: Bool {
      state.withLockIfAvailable { state in
        if case .serving(let server) = state { server.isIdle } else { false }
      } ?? false
    }

    func end() {
      let server = state.withLock { state -> ForkServer? in
        guard case .serving(let server) = state else { return nil }
        state = .empty
        return server
      }
      server?.retire()
    }
  }

  /// So many servers that have no children are kept.
  private static let idleLimit = 4

  private static let places = Mutex<[Key: Place]>([:])
  private static let useCount = Atomic<UInt64>(0)

  /// The living server for `key`, started when there is none; nil when there can be none.
  static func server(for key: Key, _ preload: Preload?) throws(ProcessError) -> ForkServer? {
    let place = places.withLock { places in
      if let place = places[key] { return place }
      let place = Place()
      places[key] = place
      return place
    }
    place.lastUse.store(useCount.add(1, ordering: .relaxed).newValue, ordering: .relaxed)
    var hasStarted = false
    let server = try place.state.withLock { state throws(ProcessError) -> ForkServer? in
      switch state {
      case .serving(let server) where server.isUsable: return server
      case .useless: return nil
      case .empty, .serving: break
      }
      guard let server = try ForkServer.start(key.environment, preload) else {
        state = .useless
        warn(isPreloaded: preload != nil)
        return nil
      }
      state = .serving(server)
      hasStarted = true
      return server
    }
    if hasStarted { endSurplus() }
    return server
  }

  private static func warn(isPreloaded: Bool) {
    let cause =
      isPreloaded
      ? "the preload body has left threads behind; each worker runs it by itself"
      : "the program's libraries start threads while they are loaded"
    let text =
      "multiprocessing: \(cause). A process with threads cannot be copied safely: processes of start method"
      + " .forkServer are spawned instead.\n"
    _ = unsafe text.withCString { unsafe write(STDERR_FILENO, $0, text.utf8.count) }
  }

  /// An application that changes its environment, or its preload bodies, again and again does not gather
  /// servers.
  private static func endSurplus() {
    let surplus = places.withLock { places -> [Place] in
      let idle = places.filter { $0.value.isIdle }.sorted {
        $0.value.lastUse.load(ordering: .relaxed) > $1.value.lastUse.load(ordering: .relaxed)
      }
      let surplus = idle.dropFirst(idleLimit)
      for (key, _) in surplus { places[key] = nil }
      return surplus.map(\.value)
    }
    for place in surplus { place.end() }
  }
}
