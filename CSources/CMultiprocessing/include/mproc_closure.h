/* The two words of a Swift closure, and how they become a closure again.
 *
 * Swift passes a function value as two pointers, the code and the context, and
 * returns one in two registers. The functions below have the calling
 * convention that Swift's own `func take(_ body: …)` and `func make(…) -> …`
 * have on x86-64 and arm64; Swift declares them, one symbol for each shape of
 * body, with @_silgen_name. Taking the words this way needs no box, works for
 * parameter packs and tuples of packs, and adds no reabstraction thunk that
 * would hide a null context. */
#ifndef MPROC_CLOSURE_H
#define MPROC_CLOSURE_H

#include <stdbool.h>
#include <stdint.h>

struct mproc_closure {
  uintptr_t code;
  uintptr_t context;
};

/* In a debug build a reference to a function (`body: square`) is a heap box
 * around (code, null), or, after a conversion of its type, around (code, such a
 * box). True, with the box's metadata and the inner function, when `context`
 * is a box around one function value and nothing else; every word is read only
 * after its block is known to be large enough. */
bool mproc_closure_open_box(uintptr_t context, uintptr_t *metadata,
                            struct mproc_closure *inner);
/* A new box of that kind, never freed: a body lives as long as its worker. */
uintptr_t mproc_closure_make_box(uintptr_t metadata,
                                 struct mproc_closure inner);

#endif
