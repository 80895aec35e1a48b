// Where a crashed process was, in words that hold in this one too.

internal import CMultiprocessing

/// A place in a loaded file, as `mproc_place`.
struct CrashPlace: Hashable, Sendable {
  var image: UInt64
  var offset: UInt64
}

/// One entry of a crashed process's stack.
struct CrashFrame: Sendable {
  enum Kind {
    /// The instruction that crashed.
    case instruction
    /// A caller of code without a frame pointer, found by its look.
    case scanned
    case caller
    /// Where a function that awaits goes on.
    case async
    /// So many frames are left out.
    case gap(UInt64)
  }

  var kind: Kind
  var address: UInt64
  /// nil: in no loaded file.
  var place: CrashPlace?
  var imageName: String

  /// What is looked up: a return address is the one after the call, and may belong to the next function.
  var lookupPlace: CrashPlace? {
    guard var place else { return nil }
    switch kind {
    case .instruction, .async: break
    default: place.offset -= min(1, place.offset)
    }
    return place
  }
}

/// What a process wrote down of its own end, checked and copied.
@safe
struct CrashRecord: Sendable {
  var signal: Int32
  var thread: Int32
  var threadName: String
  /// Where the kernel says the fault was.
  var faultAddress: UInt?
  var stackPointer: UInt
  var residentByteCount: Int?
  var frames: [CrashFrame]

  /// From a page that the process wrote; nil when it did not.
  init?(_ page: UnsafeRawPointer) {
    var record = mproc_crash_record()
    guard unsafe mproc_crash_read(page, &record) == 0 else { return nil }
    signal = record.signal
    thread = record.thread
    threadName = unsafe withUnsafeBytes(of: &record.thread_name) { unsafe Self.text($0) }
    faultAddress = record.has_address != 0 ? UInt(record.address) : nil
    stackPointer = UInt(record.sp)
    residentByteCount = record.resident_bytes > 0 ? Int(clamping: record.resident_bytes) : nil
    let names = (0..<Int(MPROC_CRASH_IMAGES)).map { index in
      unsafe withUnsafeBytes(of: &record.images) { images in
        let image = index * MemoryLayout<mproc_crash_image>.stride
        let name = image + MemoryLayout<mproc_crash_image>.offset(of: \.name)!  // A stored field.
        return unsafe Self.text(UnsafeRawBufferPointer(rebasing: images[name..<(name + 32)]))
      }
    }
    frames = unsafe Self.frames(of: &record, names)
  }

  private static func text(_ bytes: UnsafeRawBufferPointer) -> String {
    unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
  }

  private static func frames(
    of record: UnsafePointer<mproc_crash_record>, _ names: [String]
  ) -> [CrashFrame] {
    unsafe withUnsafeTemporaryAllocation(
      of: mproc_crash_frame.self, capacity: mproc_crash_all_frames()
    ) { buffer in
      guard let base = buffer.baseAddress else { return [] }
      let count = unsafe mproc_crash_frames(record, base)
      return unsafe buffer[..<count].map { frame in
        let isInImage = frame.image_index != UInt32.max
        return CrashFrame(
          kind: kind(of: frame), address: frame.address,
          place: isInImage
            ? CrashPlace(image: frame.place.image, offset: frame.place.offset) : nil,
          imageName: isInImage ? names[Int(frame.image_index)] : "")
      }
    }
  }

  private static func kind(of frame: mproc_crash_frame) -> CrashFrame.Kind {
    switch mproc_crash_frame_kind(rawValue: frame.kind) {
    case MPROC_FRAME_INSTRUCTION: .instruction
    case MPROC_FRAME_SCANNED: .scanned
    case MPROC_FRAME_ASYNC: .async
    case MPROC_FRAME_GAP: .gap(frame.address)
    default: .caller
    }
  }
}
