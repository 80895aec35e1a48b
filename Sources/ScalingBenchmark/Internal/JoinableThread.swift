// A POSIX thread that runs one closure.

internal import Glibc
internal import SystemPackage

/// A running thread. `join` has to be called once.
struct JoinableThread: Sendable {
  private let handle: pthread_t

  /// Starts a thread that runs `body`.
  init(_ body: @escaping @Sendable () -> Void) throws(ScalingError) {
    var handle = pthread_t()
    let context = unsafe Unmanaged.passRetained(Box(run: body))
    let status = unsafe pthread_create(
      &handle, nil,
      { context in
        // The context is the one passed below, which is never null.
        unsafe Unmanaged<Box>.fromOpaque(context!).takeRetainedValue().run()
        return nil
      }, context.toOpaque())
    guard status == 0 else {
      unsafe context.release()
      throw .threadStart(Errno(rawValue: status))
    }
    self.handle = handle
  }

  /// Waits until the thread has ended.
  func join() {
    pthread_join(handle, nil)
  }

  private final class Box: Sendable {
    let run: @Sendable () -> Void

    init(run: @escaping @Sendable () -> Void) {
      self.run = run
    }
  }
}
