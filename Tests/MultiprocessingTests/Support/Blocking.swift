/// Runs the blocking form of what has an asynchronous one too, which an asynchronous caller would get.
func blocking<R>(_ body: () throws -> R) rethrows -> R { try body() }
