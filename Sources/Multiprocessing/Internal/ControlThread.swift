// A child's second thread: it listens to the application while the main thread runs bodies.

internal import CMultiprocessing
internal import Glibc
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

  /// So often in a row, 10 ms apart, the kernel may have no memory for a message.
  private static let mostRefusals = 500

  private func listen() {
    var command = mproc_command()
    var refusals = 0
    while true {
      var descriptor: Int32 = -1
      var count: Int32 = 1
      let size = unsafe mproc_receive_message(
        control, &command, MemoryLayout<mproc_command>.size, &descriptor, &count, 0)
      if size == -Int(ENOMEM) || size == -Int(ENOBUFS), refusals < Self.mostRefusals {
        // The message is still there.
        refusals += 1
        usleep(10_000)
        continue
      }
      refusals = 0
      if size == 0 { return }  // The application is done with this process.
      // Without what was lost here, a body could wait for its memory for ever.
      precondition(
        size == MemoryLayout<mproc_command>.size, "a command of the application is lost: \(size)")
      switch mproc_command_kind(rawValue: command.kind) {
      case MPROC_COMMAND_CANCEL: cancel(command.number)
      case MPROC_COMMAND_ATTACH where count == 1:
        SharedDescriptors.shared.attach(command.number, byteCount: Int(command.size), descriptor)
      case MPROC_COMMAND_DETACH: SharedDescriptors.shared.detach(command.number)
      default: if count == 1 { _ = mproc_close(descriptor) }
      }
    }
  }
}
