// The page in which a process without rings writes its crash record.

internal import CMultiprocessing

/// Mapped for reading; never written here.
@safe
final class CrashPage: @unchecked Sendable {
  private let page: UnsafeRawPointer

  /// The page and the descriptor to give to the process, which the caller closes.
  static func open() throws(ProcessError) -> (page: CrashPage, descriptor: Int32) {
    var page: UnsafeRawPointer?
    let descriptor = try check(unsafe mproc_crash_open(&page), "memory for a crash record")
    return (unsafe CrashPage(page!), descriptor)  // Set on success.
  }

  private init(_ page: UnsafeRawPointer) { unsafe self.page = page }

  deinit { unsafe mproc_crash_close(page) }

  /// Once the process has ended.
  var record: CrashRecord? { unsafe CrashRecord(page) }
}
