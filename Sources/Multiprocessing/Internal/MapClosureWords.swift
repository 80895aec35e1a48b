// The words of bodies that `map`, `forEach` and `broadcast` take, as in ClosureWords.swift: a closure of no
// parameter, of one, of two and a pack, of one and a pack, and of an index and an element are each passed in a way of
// their own.

internal import CMultiprocessing

@_silgen_name("mproc_closure_take_unary_sync")
func takeUnarySync<A, R>(
  _ body: @escaping @Sendable (A) throws -> R,
  _ words: UnsafeMutablePointer<ClosureWords>)
@_silgen_name("mproc_closure_make_unary_sync")
func makeUnarySync<A, R>(
  _ code: UInt, _ context: UInt, _: R.Type, _: A.Type
) -> @Sendable (A) throws -> R

@_silgen_name("mproc_closure_take_unary_async")
func takeUnaryAsync<A, R>(
  _ body: @escaping @Sendable @concurrent (A) async throws -> R,
  _ words: UnsafeMutablePointer<ClosureWords>)
@_silgen_name("mproc_closure_make_unary_async")
func makeUnaryAsync<A, R>(
  _ code: UInt, _ context: UInt, _: R.Type, _: A.Type
) -> @Sendable @concurrent (A) async throws -> R

@_silgen_name("mproc_closure_take_unary_sync_void")
func takeUnarySyncVoid<A>(
  _ body: @escaping @Sendable (A) throws -> Void,
  _ words: UnsafeMutablePointer<ClosureWords>)
@_silgen_name("mproc_closure_make_unary_sync_void")
func makeUnarySyncVoid<A>(
  _ code: UInt, _ context: UInt, _: A.Type
) -> @Sendable (A) throws -> Void

@_silgen_name("mproc_closure_take_unary_async_void")
func takeUnaryAsyncVoid<A>(
  _ body: @escaping @Sendable @concurrent (A) async throws -> Void,
  _ words: UnsafeMutablePointer<ClosureWords>)
@_silgen_name("mproc_closure_make_unary_async_void")
func makeUnaryAsyncVoid<A>(
  _ code: UInt, _ context: UInt, _: A.Type
) -> @Sendable @concurrent (A) async throws -> Void

@_silgen_name("mproc_closure_take_unary_sync_tuple")
func takeUnarySyncTuple<A, R1, R2, each R>(
  _ body: @escaping @Sendable (A) throws -> (R1, R2, repeat each R),
  _ words: UnsafeMutablePointer<ClosureWords>)
@_silgen_name("mproc_closure_make_unary_sync_tuple")
func makeUnarySyncTuple<A, R1, R2, each R>(
  _ code: UInt, _ context: UInt, _: (R1, R2, repeat each R).Type, _: A.Type
) -> @Sendable (A) throws -> (R1, R2, repeat each R)

@_silgen_name("mproc_closure_take_unary_async_tuple")
func takeUnaryAsyncTuple<A, R1, R2, each R>(
  _ body: @escaping @Sendable @concurrent (A) async throws -> (R1, R2, repeat each R),
  _ words: UnsafeMutablePointer<ClosureWords>)
@_silgen_name("mproc_closure_make_unary_async_tuple")
func makeUnaryAsyncTuple<A, R1, R2, each R>(
  _ code: UInt, _ context: UInt, _: (R1, R2, repeat each R).Type, _: A.Type
) -> @Sendable @concurrent (A) async throws -> (R1, R2, repeat each R)

@_silgen_name("mproc_closure_take_star_sync")
func takeStarSync<A, B, each C, R>(
  _ body: @escaping @Sendable (A, B, repeat each C) throws -> R,
  _ words: UnsafeMutablePointer<ClosureWords>)
@_silgen_name("mproc_closure_make_star_sync")
func makeStarSync<A, B, each C, R>(
  _ code: UInt, _ context: UInt, _: R.Type, _: A.Type, _: B.Type, _: repeat (each C).Type
) -> @Sendable (A, B, repeat each C) throws -> R

@_silgen_name("mproc_closure_take_star_async")
func takeStarAsync<A, B, each C, R>(
  _ body: @escaping @Sendable @concurrent (A, B, repeat each C) async throws -> R,
  _ words: UnsafeMutablePointer<ClosureWords>)
@_silgen_name("mproc_closure_make_star_async")
func makeStarAsync<A, B, each C, R>(
  _ code: UInt, _ context: UInt, _: R.Type, _: A.Type, _: B.Type, _: repeat (each C).Type
) -> @Sendable @concurrent (A, B, repeat each C) async throws -> R

@_silgen_name("mproc_closure_take_star_sync_void")
func takeStarSyncVoid<A, B, each C>(
  _ body: @escaping @Sendable (A, B, repeat each C) throws -> Void,
  _ words: UnsafeMutablePointer<ClosureWords>)
@_silgen_name("mproc_closure_make_star_sync_void")
func makeStarSyncVoid<A, B, each C>(
  _ code: UInt, _ context: UInt, _: A.Type, _: B.Type, _: repeat (each C).Type
) -> @Sendable (A, B, repeat each C) throws -> Void

@_silgen_name("mproc_closure_take_star_async_void")
func takeStarAsyncVoid<A, B, each C>(
  _ body: @escaping @Sendable @concurrent (A, B, repeat each C) async throws -> Void,
  _ words: UnsafeMutablePointer<ClosureWords>)
@_silgen_name("mproc_closure_make_star_async_void")
func makeStarAsyncVoid<A, B, each C>(
  _ code: UInt, _ context: UInt, _: A.Type, _: B.Type, _: repeat (each C).Type
) -> @Sendable @concurrent (A, B, repeat each C) async throws -> Void

@_silgen_name("mproc_closure_take_indexed_sync")
func takeIndexedSync<A, R>(
  _ body: @escaping @Sendable (Int, A) throws -> R,
  _ words: UnsafeMutablePointer<ClosureWords>)
@_silgen_name("mproc_closure_make_indexed_sync")
func makeIndexedSync<A, R>(
  _ code: UInt, _ context: UInt, _: R.Type, _: A.Type
) -> @Sendable (Int, A) throws -> R

@_silgen_name("mproc_closure_take_indexed_async")
func takeIndexedAsync<A, R>(
  _ body: @escaping @Sendable @concurrent (Int, A) async throws -> R,
  _ words: UnsafeMutablePointer<ClosureWords>)
@_silgen_name("mproc_closure_make_indexed_async")
func makeIndexedAsync<A, R>(
  _ code: UInt, _ context: UInt, _: R.Type, _: A.Type
) -> @Sendable @concurrent (Int, A) async throws -> R

@_silgen_name("mproc_closure_take_lead_sync")
func takeLeadSync<A, each C, R>(
  _ body: @escaping @Sendable (A, repeat each C) throws -> R,
  _ words: UnsafeMutablePointer<ClosureWords>)
@_silgen_name("mproc_closure_make_lead_sync")
func makeLeadSync<A, each C, R>(
  _ code: UInt, _ context: UInt, _: R.Type, _: A.Type, _: repeat (each C).Type
) -> @Sendable (A, repeat each C) throws -> R

@_silgen_name("mproc_closure_take_lead_sync_void")
func takeLeadSyncVoid<A, each C>(
  _ body: @escaping @Sendable (A, repeat each C) throws -> Void,
  _ words: UnsafeMutablePointer<ClosureWords>)
@_silgen_name("mproc_closure_make_lead_sync_void")
func makeLeadSyncVoid<A, each C>(
  _ code: UInt, _ context: UInt, _: A.Type, _: repeat (each C).Type
) -> @Sendable (A, repeat each C) throws -> Void

@_silgen_name("mproc_closure_take_nullary_sync")
func takeNullarySync<R>(
  _ body: @escaping @Sendable () throws -> R,
  _ words: UnsafeMutablePointer<ClosureWords>)
@_silgen_name("mproc_closure_make_nullary_sync")
func makeNullarySync<R>(
  _ code: UInt, _ context: UInt, _: R.Type
) -> @Sendable () throws -> R

@_silgen_name("mproc_closure_take_nullary_sync_void")
func takeNullarySyncVoid(
  _ body: @escaping @Sendable () throws -> Void,
  _ words: UnsafeMutablePointer<ClosureWords>)
@_silgen_name("mproc_closure_make_nullary_sync_void")
func makeNullarySyncVoid(
  _ code: UInt, _ context: UInt
) -> @Sendable () throws -> Void

@_silgen_name("mproc_closure_take_nullary_async")
func takeNullaryAsync<R>(
  _ body: @escaping @Sendable @concurrent () async throws -> R,
  _ words: UnsafeMutablePointer<ClosureWords>)
@_silgen_name("mproc_closure_make_nullary_async")
func makeNullaryAsync<R>(
  _ code: UInt, _ context: UInt, _: R.Type
) -> @Sendable @concurrent () async throws -> R

@_silgen_name("mproc_closure_take_nullary_async_void")
func takeNullaryAsyncVoid(
  _ body: @escaping @Sendable @concurrent () async throws -> Void,
  _ words: UnsafeMutablePointer<ClosureWords>)
@_silgen_name("mproc_closure_make_nullary_async_void")
func makeNullaryAsyncVoid(
  _ code: UInt, _ context: UInt
) -> @Sendable @concurrent () async throws -> Void
