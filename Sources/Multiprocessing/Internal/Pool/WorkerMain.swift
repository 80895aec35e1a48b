// A pool's worker: takes records from its ring, runs their bodies, and puts the outcomes into the other.
//
// Everything that the application needs to know after a crash is in shared memory before it matters: the
// record is accepted before its first item runs, the cursor moves on when an item's result is stored, and a
// result becomes visible with one store of the tail. A kill between any two of these loses exactly the item
// that ran. `CSources/corecheck/pool_worker.c` has the same order of steps, and is killed at each instruction.

internal import CMultiprocessing
internal import Glibc

enum WorkerMain {
  /// Serves until the application says stop; the exit status.
  static func run(_ start: mproc_start) -> Int32 {
    guard let worker = unsafe Worker(start) else { return 126 }
    mproc_keep_freed_memory()
    unsafe ControlThread.start(start.control) { worker.cancellation.cancel($0) }
    repeat {
      worker.cancellation.reset()
      // A cancelled task stays cancelled: the next record needs a new one.
      MainThread.shared.run({ worker.cancellation.set($0) }, { await worker.serve() })
    } while !worker.isStopped
    return 0
  }
}

/// One worker process. Its main thread alone uses it, `cancellation` aside.
@safe
private final class Worker: @unchecked Sendable {
  let cancellation = RecordCancellation()
  private(set) var isStopped = false

  private let channel: UnsafeMutablePointer<mproc_channel>
  private let arguments: OpaquePointer
  private let results: OpaquePointer
  private let bell: Int32
  private let spinNanoseconds: UInt64
  private var bodies: [UInt32: Result<LoadedBody, ProcessError>] = [:]
  /// A worker mostly runs the same body again.
  private var lastBody: (number: UInt32, body: LoadedBody)?
  private let context = IncomingTransfer(isArgument: true)

  init?(_ start: mproc_start) {
    var submissions = unsafe mproc_segment()
    var completions = unsafe mproc_segment()
    let channel = UnsafeMutablePointer<mproc_channel>.allocate(capacity: 1)
    var arguments: OpaquePointer?
    var results: OpaquePointer?
    guard
      unsafe mproc_segment_map(start.completions, Int32(MPROC_SEGMENT_WRITABLE), &completions) == 0,
      unsafe mproc_segment_map(start.submissions, 0, &submissions) == 0,
      unsafe mproc_channel_open(channel, &completions, &submissions) == 0,
      unsafe mproc_arena_open(start.argument_arena, 0, &arguments) == 0,
      unsafe mproc_arena_open(start.result_arena, 1, &results) == 0,
      let arguments = unsafe arguments, let results = unsafe results,
      unsafe start.payload_bytes >= MemoryLayout<WorkerParameters>.size,
      let payload = unsafe start.payload
    else { return nil }
    // Where the kernel has no such seal the application's checks still hold.
    _ = unsafe mproc_segment_seal(start.completions)
    _ = unsafe mproc_close(start.completions)
    _ = unsafe mproc_close(start.submissions)
    unsafe self.channel = channel
    unsafe self.arguments = unsafe arguments
    unsafe self.results = unsafe results
    bell = unsafe start.bell
    let parameters = unsafe payload.loadUnaligned(as: WorkerParameters.self)
    spinNanoseconds = parameters.spinNanoseconds
    CurrentProcess.cpuBudget = Int(parameters.cpuBudget)
  }

  // MARK: - Taking records

  /// Serves until it is told to stop or its task has been cancelled.
  func serve() async {
    // Tells the application that it has come so far.
    unsafe mproc_channel_set_cpu(channel, mproc_current_cpu())
    while true {
      var payload: UnsafeRawPointer?
      var size = 0
      var kind: UInt32 = 0
      let found = unsafe mproc_ring_peek(channel, &payload, &size, &kind)
      if found == 0 {
        waitForRecord()
        continue
      }
      guard found == 1 else { fatalError("the submission ring is damaged") }
      let record = unsafe UnsafeRawBufferPointer(start: payload, count: size)
      switch kind {
      case SubmissionKind.define: unsafe define(record)
      case SubmissionKind.tasks: unsafe await run(record)
      default: isStopped = true
      }
      unsafe mproc_ring_consume(channel)
      if isStopped || cancellation.isRequested && Task.isCancelled { return }
    }
  }

  private func waitForRecord() {
    let cpu = mproc_current_cpu()
    unsafe mproc_channel_set_cpu(channel, cpu)
    let began = mproc_now_ns()
    // Spinning against the application on its own CPU would cost it whole time slices.
    if spinNanoseconds > 0, unsafe mproc_channel_peer_cpu(channel) != cpu {
      if spinBriefly() { return }
      unsafe mproc_channel_begin_wait(channel, began)
      var now = mproc_now_ns()
      while now < began + spinNanoseconds {
        if spinBriefly() { return unsafe mproc_channel_end_wait(channel, now) }
        now = mproc_now_ns()
      }
    } else {
      unsafe mproc_channel_begin_wait(channel, began)
    }
    let head = unsafe UInt32(truncatingIfNeeded: channel.pointee.head)
    _ = unsafe mproc_channel_sleep(channel, MPROC_WORD_TAIL, head, -1)
    unsafe mproc_channel_end_wait(channel, mproc_now_ns())
  }

  /// Without the clock: between two short tasks its calls would count. Whether there is a record.
  private func spinBriefly() -> Bool {
    for _ in 0..<64 {
      if unsafe mproc_ring_has_records(channel) { return true }
      mproc_pause()
    }
    return false
  }

  /// Waits for the application to take results.
  private func waitForApplication(_ body: () -> Void) {
    unsafe mproc_channel_begin_wait(channel, mproc_now_ns())
    body()
    unsafe mproc_channel_end_wait(channel, mproc_now_ns())
  }

  private func define(_ record: UnsafeRawBufferPointer) {
    var reader = unsafe ByteReader(record)
    guard let number = try? reader.readValue(as: UInt32.self),
      let name = try? ValueCoding.decode(BodyName.self, from: &reader, context: nil)
    else { fatalError("a definition in the submission ring is damaged") }
    bodies[number] = Result { () throws(ProcessError) in try LoadedBody(name) }
  }

  // MARK: - Running

  private func run(_ record: UnsafeRawBufferPointer) async {
    var reader = unsafe ByteReader(record)
    guard let header = try? reader.readValue(as: TaskHeader.self) else {
      fatalError("a task in the submission ring is damaged")
    }
    if header.flags & TaskHeader.isInArena != 0 {
      guard let reference = try? reader.readValue(as: ArenaReference.self) else {
        fatalError("a task in the submission ring is damaged")
      }
      var bytes: UnsafeRawPointer?
      let result = unsafe mproc_arena_view(arguments, reference.offset, reference.byteCount, &bytes)
      precondition(result == 0, "the arguments cannot be mapped: errno \(-result)")
      reader = unsafe ByteReader(
        UnsafeRawBufferPointer(start: bytes, count: Int(reference.byteCount)))
    }
    let needsTime = header.flags & (TaskHeader.isTimed | TaskHeader.isTraced) != 0
    let began = needsTime ? mproc_now_ns() : 0
    if header.flags & TaskHeader.isTraced != 0 { unsafe mproc_channel_set_began(channel, began) }
    unsafe mproc_channel_set_cursor(channel, 0, 0)
    unsafe mproc_ring_clear_partial(channel)
    // From here on this record is the one that a crash is charged to.
    unsafe mproc_channel_set_accepted(channel, channel.pointee.head)
    if cancellation.begin(header.number) {
      await runItems(header, &reader, began)
    } else {
      sendFailure(CancellationError(), header, item: 0, isLast: true)
    }
    cancellation.end()
  }

  private func runItems(_ header: TaskHeader, _ reader: inout ByteReader, _ began: UInt64) async {
    let body: LoadedBody
    do {
      body = try loadedBody(header.body)
    } catch {
      return sendFailure(error, header, item: 0, isLast: true)
    }
    switch body {
    case .sync(let call): runSync(call, header, &reader, began)
    case .async(let call): await runAsync(call, header, &reader, began)
    }
  }

  // The two that follow differ in `await` alone. An async function's frames cost more than a short body.

  private func runSync(
    _ call: LoadedBody.Sync, _ header: TaskHeader, _ reader: inout ByteReader, _ began: UInt64
  ) {
    var item: UInt32 = 0
    while item < header.count {
      let first = item
      var writer = reserveOutput()
      writer.appendValue(CompletionHeader(number: header.number, first: first, count: 0, flags: 0))
      var end = writer.count
      var failure: (any Error)?
      do {
        repeat {
          try call(&reader, &writer, context)
          item += 1
          end = writer.count
        } while try stored(item, end, isSpilled: writer.isSpilled, header)
      } catch {
        failure = error
      }
      writer.truncate(to: end)
      if send(writer, header, first: first, item: item, failure, began) { return }
    }
  }

  private func runAsync(
    _ call: LoadedBody.Async, _ header: TaskHeader, _ reader: inout ByteReader, _ began: UInt64
  ) async {
    var item: UInt32 = 0
    while item < header.count {
      let first = item
      var writer = reserveOutput()
      writer.appendValue(CompletionHeader(number: header.number, first: first, count: 0, flags: 0))
      var end = writer.count
      var failure: (any Error)?
      do {
        repeat {
          try await call(&reader, &writer, context)
          item += 1
          end = writer.count
        } while try stored(item, end, isSpilled: writer.isSpilled, header)
      } catch {
        failure = error
      }
      writer.truncate(to: end)
      if send(writer, header, first: first, item: item, failure, began) { return }
    }
  }

  /// So many items of the record are done, and their results stored: whether to go on with the next one into
  /// the same room. Throws when the record has been cancelled.
  @inline(__always)
  private func stored(_ items: UInt32, _ byteCount: Int, isSpilled: Bool, _ header: TaskHeader)
    throws -> Bool
  {
    if isSpilled { return false }
    unsafe mproc_channel_set_cursor(channel, items, UInt64(byteCount))
    guard items < header.count else { return false }
    if cancellation.isRequested, Task.isCancelled { throw CancellationError() }
    return true
  }

  /// Sends what the items from `first` on have brought; whether the record is done.
  private func send(
    _ writer: consuming ByteWriter, _ header: TaskHeader, first: UInt32, item: UInt32,
    _ failure: (any Error)?, _ began: UInt64
  ) -> Bool {
    mproc_flush_standard_streams()
    let isLast = failure == nil && item == header.count
    if item > first {
      let count = item - first
      guard sendValues(writer, header, first: first, count: count, isLast: isLast, began) else {
        return true
      }
    }
    guard let failure else { return isLast }
    sendFailure(failure, header, item: min(item, header.count - 1), isLast: true)
    return true
  }

  private func loadedBody(_ number: UInt32) throws -> LoadedBody {
    if let last = lastBody, last.number == number { return last.body }
    guard let body = bodies[number] else { throw ProcessError.notInThisProcess("body \(number)") }
    let loaded = try body.get()
    lastBody = (number, loaded)
    return loaded
  }

  // MARK: - Outcomes

  /// All the free room that one record may take; waits for some.
  private func reserveOutput() -> ByteWriter {
    let minimum = 1024
    var available = 0
    while true {
      if let room = unsafe mproc_ring_reserve_most(channel, minimum, &available) {
        unsafe mproc_ring_set_partial(channel)
        return unsafe ByteWriter(
          region: UnsafeMutableRawBufferPointer(start: room, count: available))
      }
      waitForRoom()
    }
  }

  private func waitForRoom() {
    let freed = unsafe channel.pointee.freed
    guard unsafe mproc_ring_refresh_limit(channel) == 0 else {
      fatalError("the completion ring is damaged")
    }
    if unsafe channel.pointee.freed != freed { return }
    waitForApplication {
      _ = unsafe mproc_channel_sleep(
        channel, MPROC_WORD_HEAD, UInt32(truncatingIfNeeded: freed), -1)
    }
  }

  /// False when there is no memory for what does not fit into the ring: then the record has ended.
  private func sendValues(
    _ writer: consuming ByteWriter, _ task: TaskHeader, first: UInt32, count: UInt32, isLast: Bool,
    _ began: UInt64
  ) -> Bool {
    var header = CompletionHeader(
      number: task.number, first: first, count: count, flags: isLast ? CompletionHeader.isLast : 0)
    if began != 0 { header.nanoseconds = UInt32(clamping: mproc_now_ns() - began) }
    let isTraced = isLast && task.flags & TaskHeader.isTraced != 0
    if writer.isSpilled {
      let rest = sendCounted(&header)
      guard header.count > 0 else { return true }
      let size = writer.count - rest
      let isSent = unsafe writer.withBytes { bytes in
        unsafe sendThroughArena(
          UnsafeRawBufferPointer(rebasing: bytes[rest...]), header, isTraced: isTraced)
      }
      if !isSent {
        let error = ProcessError.noSharedMemory(size, for: "a result")
        sendFailure(error, task, item: header.first, isLast: true)
      }
      return isSent
    } else {
      if isTraced { appendTimes(&writer, &header) }
      let size = writer.count
      setHeader(header, &writer)
      unsafe mproc_ring_commit(channel, size, CompletionKind.values)
      publish()
      return true
    }
  }

  /// An output that outgrew its room: sends what the cursor counts of it, which still lies in the room and is
  /// looked for there after a crash until it is published; the room is used again only then. Takes it off
  /// `header`; where the rest of the output begins.
  private func sendCounted(_ header: inout CompletionHeader) -> Int {
    var items: UInt32 = 0
    var byteCount: UInt64 = 0
    unsafe mproc_channel_own_cursor(channel, &items, &byteCount)
    guard items > header.first else { return MemoryLayout<CompletionHeader>.size }
    let counted = CompletionHeader(
      number: header.number, first: header.first, count: items - header.first, flags: 0)
    unsafe mproc_ring_reserved(channel).storeBytes(of: counted, as: CompletionHeader.self)
    unsafe mproc_ring_commit(channel, Int(byteCount), CompletionKind.values)
    publish()
    header.first += counted.count
    header.count -= counted.count
    return Int(byteCount)
  }

  private func setHeader(_ header: CompletionHeader, _ writer: inout ByteWriter) {
    unsafe writer.withMutableBytes { unsafe $0.storeBytes(of: header, as: CompletionHeader.self) }
  }

  /// Leaves them out where there is no room: moving the results elsewhere would put the cursor in the wrong.
  private func appendTimes(_ writer: inout ByteWriter, _ header: inout CompletionHeader) {
    guard writer.room >= MemoryLayout<RecordTimes>.size else { return }
    header.flags |= CompletionHeader.hasTimes
    writer.appendValue(
      unsafe RecordTimes(began: mproc_channel_own_began(channel), ended: mproc_now_ns()))
  }

  /// False when there is no memory.
  private func sendThroughArena(
    _ bytes: UnsafeRawBufferPointer, _ header: CompletionHeader, isTraced: Bool
  ) -> Bool {
    var range = unsafe mproc_arena_range()
    while true {
      _ = unsafe mproc_arena_release_through(results, mproc_channel_peer_arena_head(channel))
      let result = unsafe mproc_arena_allocate(results, UInt64(bytes.count), &range)
      if result == 0 { break }
      guard result == -EAGAIN else { return false }
      waitForApplication { usleep(100) }
    }
    if let target = unsafe range.bytes, let source = bytes.baseAddress {
      unsafe target.copyMemory(from: source, byteCount: bytes.count)
    }
    var header = header
    header.flags |= CompletionHeader.isInArena
    let reference = unsafe ArenaReference(
      offset: range.offset, byteCount: UInt64(bytes.count), position: range.position)
    var writer = reserveOutput()
    writer.appendValue(header)
    writer.appendValue(reference)
    if isTraced {
      appendTimes(&writer, &header)
      setHeader(header, &writer)
    }
    unsafe mproc_ring_commit(channel, writer.count, CompletionKind.values)
    publish()
    return true
  }

  private func sendFailure(_ error: any Error, _ task: TaskHeader, item: UInt32, isLast: Bool) {
    mproc_flush_standard_streams()
    var header = CompletionHeader(
      number: task.number, first: item, count: 1, flags: isLast ? CompletionHeader.isLast : 0)
    var writer = reserveOutput()
    writer.appendValue(header)
    FailureCoding.encode(error, into: &writer, context)
    if writer.isSpilled {
      // An error's text of more than a ring holds is cut to its type.
      writer = reserveOutput()
      writer.appendValue(header)
      FailureCoding.encode(
        RemoteError(error, message: "(its text is too long)"), into: &writer, nil)
    }
    if isLast, task.flags & TaskHeader.isTraced != 0 {
      appendTimes(&writer, &header)
      setHeader(header, &writer)
    }
    unsafe mproc_ring_commit(channel, writer.count, CompletionKind.failure)
    publish()
  }

  private func publish() {
    unsafe mproc_ring_publish(channel)
    if unsafe mproc_channel_peer_sleeps(channel, MPROC_WORD_TAIL) {
      _ = mproc_eventfd_ring(bell)
      unsafe mproc_channel_mark_rung(channel, MPROC_WORD_TAIL)
    }
  }
}
