// The body of `ChildProcess.forking`: from the parent's side up to the fork, then in the copy.
//
// Between the fork and the body nothing may wait for a lock of ours that another thread of the parent could
// have held: no Mutex, no lazy global that the parent has not already made.

internal import CMultiprocessing
internal import Glibc
internal import Synchronization

/// What the copy needs, made before the fork.
@safe
struct ForkedCopy {
  typealias Body = (inout ByteWriter, TransferContext) throws -> Void

  private let name: String
  private let parent = getpid()
  private let body: Body
  /// What `environ` is to be; never freed in the copy.
  private let environment: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?

  /// Forks; 0 or -errno in the parent, no return in the copy.
  static func fork(
    _ request: StartRequest, _ process: inout mproc_process, _ body: Body
  ) -> Int32 {
    withoutActuallyEscaping(body) { body in
      var copy = ForkedCopy(request, body)
      defer { copy.freeEnvironment() }
      return unsafe request.withStart { start in
        unsafe withUnsafeMutablePointer(to: &copy) { copy in
          unsafe mproc_fork_self(
            start, request.options.outlivesParent,
            { context, control in
              guard let copy = unsafe context?.assumingMemoryBound(to: ForkedCopy.self) else {
                return
              }
              unsafe copy.pointee.run(control)
            }, copy, &process)
        }
      }
    }
  }

  private init(_ request: StartRequest, _ body: @escaping Body) {
    name = request.name
    self.body = body
    guard let variables = request.options.environment else {
      unsafe environment = nil
      return
    }
    let strings = variables.map { "\($0)=\($1)" }.sorted()
    let pointers = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(
      capacity: strings.count + 1)
    for (index, string) in strings.enumerated() { unsafe pointers[index] = unsafe strdup(string) }
    unsafe pointers[strings.count] = nil
    unsafe environment = pointers
  }

  private func freeEnvironment() {
    guard let environment = unsafe environment else { return }
    var next = unsafe environment
    while let string = unsafe next.pointee {
      unsafe free(string)
      unsafe next += 1
    }
    unsafe environment.deallocate()
  }

  // MARK: - In the copy

  private func run(_ control: Int32) -> Never {
    CurrentProcess.become(
      CurrentProcess.Identity(
        isChild: true, name: name, workerIndex: nil, parent: parent, control: control))
    if let environment = unsafe environment { unsafe mproc_fork_set_environment(environment) }
    Self.probeLocks()
    mproc_fork_begin()
    var outcome = unsafe ByteWriter(region: UnsafeMutableRawBufferPointer(start: nil, count: 0))
    do {
      outcome.appendValue(OutcomeTag.value)
      try body(&outcome, IncomingTransfer())
    } catch {
      outcome.truncate(to: 0)
      FailureCoding.encode(error, into: &outcome, nil)
    }
    fflush(nil)
    unsafe outcome.withBytes { unsafe sendOutcome($0, to: control) }
    // Not exit: the application's atexit handlers are not the copy's to run.
    _exit(0)
  }

  /// Takes the locks that every body needs, as long as another fork can be tried instead: of the memory, of
  /// the dynamic linker, and of the runtime's tables of types and conformances.
  private static func probeLocks() {
    mproc_fork_probe_loader()
    let type = Probe<Never>.nested(4)
    // Another conformance look-up than any that is cached.
    if type is any ProcessTask.Type { fatalError("a probe has no conformance") }
  }
}

/// Types that are made nowhere else, so that the copy makes them anew.
private struct Probe<Value> {
  static func nested(_ depth: Int) -> Any.Type {
    depth == 0 ? [Self].self : Probe<Self>.nested(depth - 1)
  }
}
