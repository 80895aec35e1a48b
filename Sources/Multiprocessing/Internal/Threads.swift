// Threads for what blocks.

internal import CMultiprocessing

/// Runs `body` on a thread of its own; false when there is none to be had.
func runOnThread(_ name: StaticString, _ body: @escaping @Sendable () -> Void) -> Bool {
  final class Box: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  let box = unsafe Unmanaged.passRetained(Box(body))
  let result = unsafe mproc_thread_start(
    UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self),
    { context in
      guard let context = unsafe context else { return nil }
      unsafe Unmanaged<Box>.fromOpaque(context).takeRetainedValue().body()
      return nil
    }, box.toOpaque())
  if result < 0 { unsafe box.release() }
  return result >= 0
}
