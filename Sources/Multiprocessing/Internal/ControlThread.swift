// A child's second thread: it listens to the application while the main thread runs bodies.

internal import CMultiprocessing
internal import Synchronization

/// Receives the application's commands on the control socket.
final class ControlThread: Sendable {
  private let control: Int32
  private let cancel: @Sendable (UInt64) -> Void

  /// Starts the thread; `cancel` is called on it with the number of a task.
  static func start(_ control: Int32, cancel: @escaping @Sendable (UInt64) -> Void) {
    let thread = ControlThread(control, cancel)
    let context = unsafe Unmanaged.passRetained(thread).toOpaque()
    let result = unsafe mproc_thread_start(
      "mproc-control",
      { context in
        guard let context = unsafe context else { return nil }
        unsafe Unmanaged<ControlThread>.fromOpaque(context).takeRetainedValue().listen()
        return nil
      }, context)
    // Without the thread, cancellation waits for its grace period and attached memory never comes.
    precondition(result >= 0, "no thread for the control socket: errno \(-result)")
  }

  private init(_ control: Int32, _ cancel: @escaping @Sendable (UInt64) -> Void) {
    self.control = control
    self.cancel = cancel
  }

  private func listen() {
    var command = mproc_command()
    while true {
      var descriptor: Int32 = -1
      var count: Int32 = 1
      let size = unsafe mproc_receive_message(
        control, &command, MemoryLayout<mproc_command>.size, &descriptor, &count, 0)
      guard size == MemoryLayout<mproc_command>.size else { return }
      switch mproc_command_kind(rawValue: command.kind) {
      case MPROC_COMMAND_CANCEL: cancel(command.number)
      case MPROC_COMMAND_ATTACH where count == 1:
        AttachedMemory.shared.add(command.number, byteCount: Int(command.size), descriptor)
      default: if count == 1 { _ = mproc_close(descriptor) }
      }
    }
  }
}
