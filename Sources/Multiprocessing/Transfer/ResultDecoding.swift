// Results of every shape, read from an outcome in the application.

/// Reads a result of one shape.
typealias ResultDecoder<Output> =
  @Sendable (inout ByteReader, TransferContext?) throws -> Output

func valueDecoder<R: Transferable>(_: R.Type = R.self) -> ResultDecoder<R> {
  { reader, context in try decodeArgument(R.self, from: &reader, context) }
}

func voidDecoder() -> ResultDecoder<Void> {
  { _, _ in }
}

func tupleDecoder<R1: Transferable, R2: Transferable, each R: Transferable>(
  _: (R1, R2, repeat each R).Type = (R1, R2, repeat each R).self
) -> ResultDecoder<(R1, R2, repeat each R)> {
  { reader, context in
    let first = try decodeArgument(R1.self, from: &reader, context)
    let second = try decodeArgument(R2.self, from: &reader, context)
    return (first, second, repeat try decodeArgument((each R).self, from: &reader, context))
  }
}

/// A result of a pool's worker.
func decodeResult<R: Transferable>(_ type: R.Type, from reader: inout ByteReader) throws -> R {
  try decodeArgument(type, from: &reader, ValueCoding.isBytes(type) ? nil : IncomingTransfer())
}

func decodeResult<R1: Transferable, R2: Transferable, each R: Transferable>(
  _ first: R1.Type, _ second: R2.Type, _: repeat (each R).Type, from reader: inout ByteReader
) throws -> (R1, R2, repeat each R) {
  let context = IncomingTransfer()
  let first = try decodeArgument(first, from: &reader, context)
  let second = try decodeArgument(second, from: &reader, context)
  return (first, second, repeat try decodeArgument((each R).self, from: &reader, context))
}

/// The result of an outcome, or throws its error.
func decodeOutcome<Output>(
  _ bytes: UnsafeRawBufferPointer, _ context: TransferContext?, _ decoder: ResultDecoder<Output>
) throws -> Output {
  var reader = unsafe ByteReader(bytes)
  guard let tag = FailureCoding.readTag(&reader) else { throw ProcessError.damagedOutcome }
  guard tag == .value else { throw FailureCoding.decode(tag, from: &reader, context) }
  return try decoder(&reader, context)
}
