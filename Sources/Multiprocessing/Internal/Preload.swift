// A body that runs once before any worker does: in the fork server, whose copies the workers are, or, where
// there is none, in each worker.

internal import CMultiprocessing
internal import Glibc
internal import Synchronization

/// A preload body in the form that is sent: how many descriptors come first, its name, its
/// arguments.
final class Preload: Sendable {
  /// Equal bytes are the same preload.
  let identity: [UInt8]
  private let payload: [UInt8]
  private let descriptors: [SharedDescriptor]

  /// Refuses a body that awaits: the process that runs it is to be copied, and Swift's thread pool does not
  /// survive that.
  init(_ body: WorkerBody) throws(ProcessError) {
    guard !body.isAsync else {
      throw .invalidConfiguration(
        "the preload body awaits; it runs where Swift's thread pool must not start, so it must be a"
          + " synchronous function; use onWorkerStart for one that awaits")
    }
    let prepared = try body.prepared()
    descriptors = prepared.arguments.descriptors
    var name = try prepared.reference.name()
    payload = try Self.encode(name, prepared.arguments, descriptors.count)
    // In a debug build every mention of a function has a box of its own around it.
    while case .box(_, _, let inner) = name.code { name.code = inner }
    identity = try Self.encode(name, prepared.arguments, descriptors.count)
  }

  private static func encode(
    _ name: BodyName, _ arguments: EncodedArguments, _ descriptorCount: Int
  ) throws(ProcessError) -> [UInt8] {
    var writer = unsafe ByteWriter(region: UnsafeMutableRawBufferPointer(start: nil, count: 0))
    writer.appendValue(UInt32(descriptorCount))
    do {
      try ValueCoding.encode(name, into: &writer, context: nil)
    } catch {
      throw .cannotEncode(BodyName.self, error)
    }
    unsafe arguments.withBytes { unsafe writer.append($0) }
    return unsafe writer.withBytes { unsafe [UInt8]($0) }
  }

  // MARK: - In the application

  /// Memory that holds the payload, for `payload_descriptor`; the caller closes it.
  func makePayloadDescriptor() throws(ProcessError) -> Int32 {
    try Multiprocessing.check(
      unsafe payload.withUnsafeBytes { bytes in
        unsafe mproc_memfd_of("mproc-preload", bytes.baseAddress, bytes.count)
      }, "memory for a preload body of \(payload.count) bytes")
  }

  /// Sends the descriptors that the arguments name, which are the first that the process receives.
  func sendDescriptors(to control: Int32) {
    for shared in descriptors {
      var command = mproc_command(
        kind: MPROC_COMMAND_ATTACH.rawValue, reserved: 0, number: shared.number,
        size: UInt64(shared.byteCount))
      unsafe withUnsafeBytes(of: &command) { bytes in
        var piece = unsafe mproc_piece(bytes: bytes.baseAddress, size: bytes.count)
        var descriptor = shared.rawValue
        // One that has died shows when its answer is waited for.
        _ = unsafe mproc_send_message(control, &piece, 1, &descriptor, 1)
      }
    }
  }

  /// What its RESULT says.
  static func checkResult(_ outcome: [UInt8]) throws(ProcessError) {
    do {
      try unsafe outcome.withUnsafeBytes { bytes in
        try unsafe decodeOutcome(bytes, IncomingTransfer(), voidDecoder())
      }
    } catch ProcessError.failed(let error) {
      throw .failed(located(error))
    } catch let error as ProcessError {
      throw error
    } catch {
      throw .failed(
        located(RemoteError(typeName: String(reflecting: type(of: error)), message: "\(error)")))
    }
  }

  private static func located(_ error: RemoteError) -> RemoteError {
    var error = error
    error.location = error.location ?? "the preload body"
    return error
  }
}

// MARK: - In the process that runs it

extension Preload {
  /// Runs the body that the start brought, on the calling thread, and sends its RESULT; false: it failed.
  static func run(_ start: mproc_start) -> Bool {
    var outcome = unsafe ByteWriter(region: UnsafeMutableRawBufferPointer(start: nil, count: 0))
    var isDone = true
    do {
      outcome.appendValue(OutcomeTag.value)
      try unsafe call(start)
    } catch {
      isDone = false
      outcome.truncate(to: 0)
      FailureCoding.encode(error, into: &outcome, nil)
    }
    mproc_flush_standard_streams()
    let control = unsafe start.control
    unsafe outcome.withBytes { unsafe sendOutcome($0, to: control) }
    return isDone
  }

  private static func call(_ start: mproc_start) throws {
    let payload = try readPayload(unsafe start.payload_descriptor)
    _ = unsafe mproc_close(start.payload_descriptor)
    try unsafe payload.withUnsafeBytes { bytes in
      var reader = unsafe ByteReader(bytes)
      let count = try reader.readValue(as: UInt32.self)
      for _ in 0..<count { unsafe receiveDescriptor(start.control) }
      let name = try ValueCoding.decode(BodyName.self, from: &reader, context: nil)
      guard case .sync(let body) = try LoadedBody(name) else {
        throw ProcessError.notInThisProcess("an asynchronous preload body")
      }
      var result = unsafe ByteWriter(region: UnsafeMutableRawBufferPointer(start: nil, count: 0))
      try body(&reader, &result, IncomingTransfer(isArgument: true))
    }
  }

  private static func receiveDescriptor(_ control: Int32) {
    var command = mproc_command()
    var descriptor: Int32 = -1
    var count: Int32 = 1
    let size = unsafe mproc_receive_message(
      control, &command, MemoryLayout<mproc_command>.size, &descriptor, &count, 0)
    guard size == MemoryLayout<mproc_command>.size, count == 1 else {
      // The application is gone.
      _exit(0)
    }
    SharedDescriptors.shared.attach(command.number, byteCount: Int(command.size), descriptor)
  }
}

/// All of a memfd that came with a start.
func readPayload(_ descriptor: Int32) throws(ProcessError) -> [UInt8] {
  let size = Int(mproc_file_size(descriptor))
  var result = Int32(clamping: min(0, size))
  let payload = unsafe [UInt8](unsafeUninitializedCapacity: max(0, size)) { buffer, count in
    if result == 0 { unsafe result = mproc_read_all(descriptor, buffer.baseAddress, size) }
    count = result == 0 ? size : 0
  }
  try check(result, "reading the arguments")
  return payload
}
