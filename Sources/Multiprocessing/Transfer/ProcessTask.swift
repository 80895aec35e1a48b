// Bodies that carry state.

/// A body with state: its stored properties travel to the worker, and the compiler checks them.
///
///     struct Resize: ProcessTask {
///       var image: [UInt8]
///       var width: Int
///       func run() throws -> [UInt8] { … }
///     }
///     let small = try await pool.run(Resize(image: bytes, width: 320))
public protocol ProcessTask: Codable, Sendable {
  associatedtype Output: Transferable
  /// Runs in the worker, on its main thread.
  @concurrent func run() async throws -> Output
}
