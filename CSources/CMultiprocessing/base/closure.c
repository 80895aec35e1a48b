#include "mproc_closure.h"

#include <malloc.h>
#include <stddef.h>

#include "mproc_image.h"

#define DEFINE_SHAPE(shape)                                                    \
  void mproc_closure_take_##shape(uintptr_t code, uintptr_t context,           \
                                  struct mproc_closure *words);                \
  void mproc_closure_take_##shape(uintptr_t code, uintptr_t context,           \
                                  struct mproc_closure *words) {               \
    words->code = code;                                                        \
    words->context = context;                                                  \
  }                                                                            \
  struct mproc_closure mproc_closure_make_##shape(uintptr_t code,              \
                                                  uintptr_t context);          \
  struct mproc_closure mproc_closure_make_##shape(uintptr_t code,              \
                                                  uintptr_t context) {         \
    return (struct mproc_closure){code, context};                              \
  }

/* Swift needs a symbol of its own for each type that it gives these. */
DEFINE_SHAPE(sync)
DEFINE_SHAPE(async)
DEFINE_SHAPE(sync_void)
DEFINE_SHAPE(async_void)
DEFINE_SHAPE(sync_tuple)
DEFINE_SHAPE(async_tuple)
DEFINE_SHAPE(nullary_sync)
DEFINE_SHAPE(nullary_async)
DEFINE_SHAPE(nullary_sync_void)
DEFINE_SHAPE(nullary_async_void)
DEFINE_SHAPE(unary_sync)
DEFINE_SHAPE(unary_async)
DEFINE_SHAPE(unary_sync_void)
DEFINE_SHAPE(unary_async_void)
DEFINE_SHAPE(unary_sync_tuple)
DEFINE_SHAPE(unary_async_tuple)
DEFINE_SHAPE(star_sync)
DEFINE_SHAPE(star_async)
DEFINE_SHAPE(star_sync_void)
DEFINE_SHAPE(star_async_void)
DEFINE_SHAPE(indexed_sync)
DEFINE_SHAPE(indexed_async)
DEFINE_SHAPE(lead_sync)
DEFINE_SHAPE(lead_sync_void)
DEFINE_SHAPE(array_part)
DEFINE_SHAPE(array_pair)

/* A Swift heap object: metadata, reference counts, then what is captured. */
struct box {
  uintptr_t metadata;
  uintptr_t references;
  uintptr_t code;
  uintptr_t context;
};

/* Metadata of a closure context (swift/ABI/Metadata.h: HeapLocalVariable). */
struct context_metadata {
  uintptr_t kind;
  uint32_t first_capture;
  uint32_t reserved;
  const uint32_t *captures; /* counts: captured values, sources, bindings */
};
#define CONTEXT_KIND 0x400

/* Whether the context holds one captured value and nothing else, as the
 * compiler's own description says. Its size cannot tell: malloc rounds up. */
static bool has_one_capture(uintptr_t address) {
  const struct context_metadata *metadata = (const void *)address;
  struct mproc_place place;
  if (mproc_place_of(address, &place) < 0 || metadata->kind != CONTEXT_KIND ||
      metadata->first_capture != offsetof(struct box, code) ||
      mproc_place_of((uintptr_t)metadata->captures, &place) < 0)
    return false;
  return metadata->captures[0] == 1 && metadata->captures[1] == 0 &&
         metadata->captures[2] == 0;
}

bool mproc_closure_open_box(uintptr_t context, uintptr_t *metadata,
                            struct mproc_closure *inner) {
  struct box *box = (struct box *)context;
  struct mproc_place place;
  /* A context that the compiler placed in the program's data has no malloc
   * header: malloc_usable_size would read what lies before it. */
  if (context % sizeof(void *) != 0 || mproc_place_of(context, &place) >= 0 ||
      malloc_usable_size((void *)context) < sizeof *box)
    return false;
  if (!has_one_capture(box->metadata) ||
      mproc_place_of(box->code, &place) < 0)
    return false;
  *metadata = box->metadata;
  *inner = (struct mproc_closure){box->code, box->context};
  return true;
}

extern void *swift_allocObject(const void *metadata, size_t size,
                               size_t alignment_mask) __attribute__((weak));

uintptr_t mproc_closure_make_box(uintptr_t metadata,
                                 struct mproc_closure inner) {
  struct box *box =
      swift_allocObject((const void *)metadata, sizeof *box, 7);
  box->code = inner.code;
  box->context = inner.context;
  return (uintptr_t)box;
}
