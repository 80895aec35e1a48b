// The descriptors of shared objects in this process, by number, however they came here.

internal import CMultiprocessing
internal import Synchronization

/// Finds the descriptor that a value names by number.
///
/// A descriptor always sets out before the value that names it, but on another way: who decodes the value
/// first waits for it here.
@safe
final class SharedDescriptors: Sendable {
  static let shared = SharedDescriptors()

  private struct Weak {
    weak var descriptor: SharedDescriptor?
  }

  private struct Attachment {
    var descriptor: SharedDescriptor
    /// Once a value has named it: the next task would have to map it again, and touch each page.
    var mapping: AnyObject?
  }

  private struct State {
    var live: [UInt64: Weak] = [:]
    /// Sent by the application, for whatever names them; a worker keeps them until it is told to forget them.
    var attached: [UInt64: Attachment] = [:]
    /// What the body of a `ChildProcess` was given, which was its to keep.
    var taken: Set<UInt64> = []
    var waiters = 0
  }

  private let state = Mutex(State())
  private nonisolated(unsafe) let arrival: UnsafeMutableRawPointer

  private init() {
    guard let arrival = unsafe mproc_semaphore_create() else { fatalError("out of memory") }
    unsafe self.arrival = arrival
  }

  fileprivate func note(_ descriptor: SharedDescriptor) {
    state.withLock { $0.live[descriptor.number] = Weak(descriptor: descriptor) }
  }

  fileprivate func forget(_ number: UInt64) {
    state.withLock { $0.live[number] = nil }
  }

  /// A descriptor has arrived from the application.
  func attach(_ number: UInt64, byteCount: Int, _ rawValue: Int32) {
    // A copy of a process that had it has it already.
    if state.withLock({ $0.attached[number] != nil }) {
      _ = mproc_close(rawValue)
      return
    }
    let descriptor = SharedDescriptor(rawValue, byteCount: byteCount, number: number)
    let waiters = state.withLock { state in
      state.attached[number] = Attachment(descriptor: descriptor)
      return state.waiters
    }
    for _ in 0..<waiters { unsafe mproc_semaphore_signal(arrival) }
  }

  /// Nothing in the application refers to it any more.
  func detach(_ number: UInt64) {
    // Released after the lock, which its end takes too.
    let detached = state.withLock { $0.attached.removeValue(forKey: number) }
    _ = detached
  }

  /// Keeps the mapping for as long as the application has a handle of the memory.
  fileprivate func keep(_ mapping: any AnyObject & Sendable, of number: UInt64) {
    state.withLock { $0.attached[number]?.mapping = mapping }
  }

  /// The descriptor with this number. Throws when it is not here, or waits for it.
  func descriptor(_ number: UInt64, waits: Bool) throws(ProcessError) -> SharedDescriptor {
    // The body of a ChildProcess is called once: what it does not keep is free.
    let isForOneBody = mproc_current_role() == MPROC_ROLE_CHILD.rawValue
    while true {
      var isToCome = false
      let found = state.withLock { state -> SharedDescriptor? in
        if isForOneBody, let found = state.attached.removeValue(forKey: number) {
          state.taken.insert(number)
          return found.descriptor
        }
        if let found = state.live[number]?.descriptor { return found }
        isToCome = waits && !state.taken.contains(number)
        if isToCome { state.waiters += 1 }
        return nil
      }
      if let found { return found }
      guard isToCome else {
        throw .notTransferable(
          TransferFailure(
            typeName: "a handle of a shared object", reason: "its object is not in this process",
            cure:
              "make it in the application and pass it to the workers, or send it over a Connection")
        )
      }
      unsafe mproc_semaphore_wait(arrival)
      state.withLock { $0.waiters -= 1 }
    }
  }
}

/// A descriptor that values carry to other processes: memory, or an end of a connection. Closed with the last
/// reference in this process.
final class SharedDescriptor: Sendable {
  private struct Weak {
    weak var mapping: (any AnyObject & Sendable)?
  }

  /// Names it here and in the processes that this one attaches it to; never anything else after it.
  let number: UInt64
  let rawValue: Int32
  /// Of memory; else 0.
  let byteCount: Int
  private let mapped = Mutex(Weak())
  private let releases = Mutex<[@Sendable (UInt64) -> Void]>([])

  /// Takes the descriptor over.
  init(
    _ rawValue: Int32, byteCount: Int = 0, number: UInt64 = UInt64.random(in: 1...UInt64.max)
  ) {
    self.rawValue = rawValue
    self.byteCount = byteCount
    self.number = number
    SharedDescriptors.shared.note(self)
  }

  deinit {
    SharedDescriptors.shared.forget(number)
    _ = mproc_close(rawValue)
    let releases = releases.withLock(\.self)
    guard !releases.isEmpty, let reactor = try? Reactor.shared() else { return }
    // Not here: the last reference may go away under any lock.
    reactor.schedule(after: .zero) { [number] in
      for release in releases { release(number) }
    }
  }

  /// `action` is called with the number, on the reactor's thread, when nothing here refers to it any more.
  func whenReleased(_ action: @escaping @Sendable (UInt64) -> Void) {
    releases.withLock { $0.append(action) }
  }

  /// The memory, mapped once.
  func mapping() throws(ProcessError) -> SharedMapping {
    try mapping { descriptor throws(ProcessError) in try SharedMapping(descriptor) }
  }

  /// What `make` makes of the descriptor, once for all who have it here.
  func mapping<Mapping: AnyObject & Sendable>(
    _ make: (SharedDescriptor) throws(ProcessError) -> Mapping
  ) throws(ProcessError) -> Mapping {
    let (mapping, isNew) = try mapped.withLock { mapped throws(ProcessError) -> (Mapping, Bool) in
      if let mapping = mapped.mapping as? Mapping { return (mapping, false) }
      let mapping = try make(self)
      mapped.mapping = mapping
      return (mapping, true)
    }
    if isNew { SharedDescriptors.shared.keep(mapping, of: number) }
    return mapping
  }
}
