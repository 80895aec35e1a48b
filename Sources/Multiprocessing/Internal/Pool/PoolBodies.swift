// The bodies that a pool has seen: each is named once, then travels as a number.

internal import Synchronization

/// A body that workers can be told of.
final class PoolBody: Sendable {
  let number: UInt32
  /// The payload of its definition record.
  let definition: [UInt8]
  /// What it is called in a timeline; empty where there is none.
  let label: String

  init(number: UInt32, _ name: BodyName, label: String) throws {
    self.number = number
    self.label = label
    var writer = unsafe ByteWriter(region: UnsafeMutableRawBufferPointer(start: nil, count: 0))
    writer.appendValue(number)
    try ValueCoding.encode(name, into: &writer, context: nil)
    definition = unsafe writer.withBytes { unsafe [UInt8]($0) }
  }
}

final class PoolBodies: Sendable {
  private struct State {
    var bodies: [BodyKey: PoolBody] = [:]
    /// The one asked for last: a caller in a loop asks for the same.
    var last: (key: BodyKey, body: PoolBody)?
  }

  private let state = Mutex(State())
  private let areLabelled: Bool

  init(labelled: Bool) {
    areLabelled = labelled
  }

  /// Throws `notTransferable` when the body cannot be named.
  func body(for reference: BodyReference) throws -> PoolBody {
    try body(reference.key) { () throws(ProcessError) in reference }
  }

  /// As above; the reference is made only for a body that is not known yet, because it costs more than a
  /// short run.
  func body(_ key: BodyKey, _ reference: () throws(ProcessError) -> BodyReference) throws
    -> PoolBody
  {
    try state.withLock { state in
      if let last = state.last, last.key == key { return last.body }
      if let body = state.bodies[key] {
        state.last = (key, body)
        return body
      }
      let reference = try reference()
      let body = try PoolBody(
        number: UInt32(state.bodies.count), try reference.name(),
        label: areLabelled ? reference.label : "")
      state.bodies[key] = body
      state.last = (key, body)
      return body
    }
  }
}
