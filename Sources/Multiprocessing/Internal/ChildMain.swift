// What a child does once it is set up: the C core calls this on the main thread.

internal import CMultiprocessing
internal import Glibc
internal import Synchronization

/// Entered from the start-up hook, before `main`, or in a fork server's child; its result is the exit
/// status.
@c(mproc_child_main)
func childMain(_ start: UnsafePointer<mproc_start>?) -> Int32 {
  guard let start = unsafe start?.pointee else { return 126 }
  CurrentProcess.become(
    CurrentProcess.Identity(
      isChild: true, name: unsafe start.name.map { unsafe String(cString: $0) } ?? "",
      workerIndex: unsafe start.worker_index >= 0 ? Int(start.worker_index) : nil,
      parent: unsafe start.application, control: unsafe start.control))
  if unsafe start.role == MPROC_ROLE_WORKER.rawValue {
    // Where no fork server has run the preload body.
    if unsafe start.payload_descriptor >= 0, unsafe !Preload.run(start) { return 1 }
    return unsafe WorkerMain.run(start)
  }
  return unsafe SingleBody.run(start)
}

/// Called in a fork server, on its main thread, before its first fork.
@c(mproc_server_prepare)
func serverPrepare(_ start: UnsafePointer<mproc_start>?) -> Int32 {
  guard let start = unsafe start?.pointee else { return -1 }
  CurrentProcess.become(
    CurrentProcess.Identity(
      isChild: true, name: unsafe start.name.map { unsafe String(cString: $0) } ?? "",
      parent: unsafe start.application, control: unsafe start.control))
  warmUp()
  guard unsafe start.payload_descriptor >= 0 else { return 0 }
  return unsafe Preload.run(start) ? 0 : -1
}

/// What the runtime looks up once, it looks up here for every child. No thread may be started.
private func warmUp() {
  let body: @Sendable (Int) -> Int = { $0 }
  guard let reference = try? BodyReference(sync: body), let name = try? reference.name() else {
    return
  }
  var writer = unsafe ByteWriter(region: UnsafeMutableRawBufferPointer(start: nil, count: 0))
  try? ValueCoding.encode(name, into: &writer, context: nil)
  try? encodeArguments(1, into: &writer, nil)
  unsafe writer.withBytes { bytes in
    var reader = unsafe ByteReader(bytes)
    guard let name = try? ValueCoding.decode(BodyName.self, from: &reader, context: nil),
      case .sync(let call)? = try? LoadedBody(name)
    else { return }
    var outcome = unsafe ByteWriter(region: UnsafeMutableRawBufferPointer(start: nil, count: 0))
    try? call(&reader, &outcome, nil)
  }
}

/// A `ChildProcess`: one body, one outcome on the control socket.
private enum SingleBody {
  static func run(_ start: mproc_start) -> Int32 {
    let running = RunningTask()
    unsafe ControlThread.start(start.control) { _ in running.cancel() }
    let payload = Result { () throws(ProcessError) in
      guard unsafe start.payload_descriptor >= 0 else {
        return unsafe [UInt8](
          UnsafeRawBufferPointer(start: start.payload, count: start.payload_bytes))
      }
      defer { _ = unsafe mproc_close(start.payload_descriptor) }
      return try readPayload(unsafe start.payload_descriptor)
    }
    let control = unsafe start.control
    MainThread.shared.run(
      { running.set($0) },
      {
        var outcome = unsafe ByteWriter(region: UnsafeMutableRawBufferPointer(start: nil, count: 0))
        do {
          outcome.appendValue(OutcomeTag.value)
          try await call(payload.get(), &outcome)
        } catch {
          outcome.truncate(to: 0)
          FailureCoding.encode(error, into: &outcome, nil)
        }
        // What the body printed is out before its result is.
        fflush(nil)
        SingleBody.send(outcome, to: control)
      })
    return 0
  }

  private static func call(_ payload: [UInt8], _ outcome: inout ByteWriter) async throws {
    // The bytes must stay where they are across the body's suspensions.
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: payload.count, alignment: 16)
    defer { unsafe bytes.deallocate() }
    unsafe bytes.copyBytes(from: payload)
    var reader = unsafe ByteReader(UnsafeRawBufferPointer(bytes))
    let name = try ValueCoding.decode(BodyName.self, from: &reader, context: nil)
    let context = IncomingTransfer(isArgument: true)
    switch try LoadedBody(name) {
    case .sync(let body): try body(&reader, &outcome, context)
    case .async(let body): try await body(&reader, &outcome, context)
    }
  }

  private static func send(_ outcome: borrowing ByteWriter, to control: Int32) {
    unsafe outcome.withBytes { bytes in
      unsafe sendOutcome(bytes, to: control)
    }
  }
}

/// Sends a RESULT message; large outcomes in a memfd, or an error in their place where there is none.
func sendOutcome(_ bytes: UnsafeRawBufferPointer, to control: Int32) {
  var header = mproc_result(
    message: MPROC_MESSAGE_RESULT.rawValue, reserved: 0, size: UInt64(bytes.count))
  let isInline = bytes.count <= Int(MPROC_MESSAGE_BYTES) / 2
  var descriptor: Int32 = -1
  if !isInline {
    descriptor = unsafe mproc_memfd_of("mproc-result", bytes.baseAddress, bytes.count)
    if descriptor < 0 {
      var failure = unsafe ByteWriter(region: UnsafeMutableRawBufferPointer(start: nil, count: 0))
      FailureCoding.encode(
        ProcessError.noSharedMemory(bytes.count, for: "a result"), into: &failure, nil)
      return unsafe failure.withBytes { unsafe sendOutcome($0, to: control) }
    }
  }
  unsafe withUnsafeBytes(of: &header) { header in
    let pieces = unsafe [
      mproc_piece(bytes: header.baseAddress, size: header.count),
      mproc_piece(bytes: bytes.baseAddress, size: isInline ? bytes.count : 0),
    ]
    _ = unsafe mproc_send_message(control, pieces, 2, &descriptor, isInline ? 0 : 1)
  }
  if descriptor >= 0 { _ = mproc_close(descriptor) }
}

/// The task that a control thread may have to cancel, also before it is known.
final class RunningTask: Sendable {
  private let state = Mutex<(task: Task<Void, Never>?, isCancelled: Bool)>((nil, false))

  func set(_ task: Task<Void, Never>) {
    let isCancelled = state.withLock { state in
      state.task = task
      return state.isCancelled
    }
    if isCancelled { task.cancel() }
  }

  func cancel() {
    let task = state.withLock { state in
      state.isCancelled = true
      return state.task
    }
    task?.cancel()
  }
}
