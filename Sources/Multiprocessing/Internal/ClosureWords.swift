// The two words of a function value, taken apart and put together again (mproc_closure.h).
//
// One declaration for each shape of body, because a symbol has one type. The bodies are spelled exactly
// as in the public API: a different abstraction would wrap them in a thunk with a context.

internal import CMultiprocessing

typealias ClosureWords = mproc_closure

@_silgen_name("mproc_closure_take_sync")
func takeSync<each A, R>(
  _ body: @escaping @Sendable (repeat each A) throws -> R,
  _ words: UnsafeMutablePointer<ClosureWords>)
@_silgen_name("mproc_closure_take_async")
func takeAsync<each A, R>(
  _ body: @escaping @Sendable @concurrent (repeat each A) async throws -> R,
  _ words: UnsafeMutablePointer<ClosureWords>)
@_silgen_name("mproc_closure_take_sync_void")
func takeSyncVoid<each A>(
  _ body: @escaping @Sendable (repeat each A) throws -> Void,
  _ words: UnsafeMutablePointer<ClosureWords>)
@_silgen_name("mproc_closure_take_async_void")
func takeAsyncVoid<each A>(
  _ body: @escaping @Sendable @concurrent (repeat each A) async throws -> Void,
  _ words: UnsafeMutablePointer<ClosureWords>)
@_silgen_name("mproc_closure_take_sync_tuple")
func takeSyncTuple<each A, R1, R2, each R>(
  _ body: @escaping @Sendable (repeat each A) throws -> (R1, R2, repeat each R),
  _ words: UnsafeMutablePointer<ClosureWords>)
@_silgen_name("mproc_closure_take_async_tuple")
func takeAsyncTuple<each A, R1, R2, each R>(
  _ body: @escaping @Sendable @concurrent (repeat each A) async throws -> (R1, R2, repeat each R),
  _ words: UnsafeMutablePointer<ClosureWords>)

@_silgen_name("mproc_closure_make_sync")
func makeSync<each A, R>(
  _ code: UInt, _ context: UInt, _: R.Type, _: repeat (each A).Type
) -> @Sendable (repeat each A) throws -> R
@_silgen_name("mproc_closure_make_async")
func makeAsync<each A, R>(
  _ code: UInt, _ context: UInt, _: R.Type, _: repeat (each A).Type
) -> @Sendable @concurrent (repeat each A) async throws -> R
@_silgen_name("mproc_closure_make_sync_void")
func makeSyncVoid<each A>(
  _ code: UInt, _ context: UInt, _: repeat (each A).Type
) -> @Sendable (repeat each A) throws -> Void
@_silgen_name("mproc_closure_make_async_void")
func makeAsyncVoid<each A>(
  _ code: UInt, _ context: UInt, _: repeat (each A).Type
) -> @Sendable @concurrent (repeat each A) async throws -> Void
@_silgen_name("mproc_closure_make_sync_tuple")
func makeSyncTuple<each A, R1, R2, each R>(
  _ code: UInt, _ context: UInt, _: (R1, R2, repeat each R).Type, _: repeat (each A).Type
) -> @Sendable (repeat each A) throws -> (R1, R2, repeat each R)
@_silgen_name("mproc_closure_make_async_tuple")
func makeAsyncTuple<each A, R1, R2, each R>(
  _ code: UInt, _ context: UInt, _: (R1, R2, repeat each R).Type, _: repeat (each A).Type
) -> @Sendable @concurrent (repeat each A) async throws -> (R1, R2, repeat each R)
