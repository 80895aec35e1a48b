/* The two ends of what joins the application and a child, and the record of
 * which descriptors are the application's alone. */
#include <stdatomic.h>
#include <unistd.h>

#include "mproc_base.h"
#include "process_internal.h"

/* One bit a descriptor. Atomic words instead of a lock: a child that was
 * forked while another thread held the lock could never take it. */
#define PRIVATE_WORDS (1 << 14)
static _Atomic uint64_t private_descriptors[PRIVATE_WORDS];

int mproc__private_add(int descriptor) {
  if (descriptor >= 0 && descriptor < PRIVATE_WORDS * 64)
    atomic_fetch_or_explicit(&private_descriptors[descriptor / 64],
                             1ull << descriptor % 64, memory_order_relaxed);
  return descriptor;
}

int mproc_private_pipe(int ends[2]) {
  int result = mproc_pipe(ends);
  if (result < 0)
    return result;
  mproc__private_add(ends[0]);
  result = mproc_set_nonblocking(ends[0]);
  if (result < 0) {
    mproc_private_close(ends[0]);
    mproc_close(ends[1]);
  }
  return result;
}

void mproc_private_close(int descriptor) {
  if (descriptor < 0)
    return;
  if (descriptor < PRIVATE_WORDS * 64)
    atomic_fetch_and_explicit(&private_descriptors[descriptor / 64],
                              ~(1ull << descriptor % 64), memory_order_relaxed);
  mproc_close(descriptor);
}

void mproc__private_close_all(void) {
  for (int word = 0; word < PRIVATE_WORDS; word++) {
    uint64_t bits = atomic_exchange_explicit(&private_descriptors[word], 0,
                                             memory_order_relaxed);
    while (bits) {
      mproc_close(word * 64 + __builtin_ctzll(bits));
      bits &= bits - 1;
    }
  }
}

int mproc__ends_open(struct mproc__ends *ends, bool outlives) {
  int pair[2];
  *ends = (struct mproc__ends){-1, -1, -1, -1};
  int result = mproc_socket_pair(pair);
  if (result < 0)
    return result;
  ends->control = mproc__private_add(pair[0]);
  ends->child_control = pair[1];
  if (outlives)
    return 0;
  result = mproc_pipe(pair);
  if (result < 0) {
    mproc__ends_close(ends);
    return result;
  }
  ends->child_lifeline = pair[0];
  ends->lifeline = mproc__private_add(pair[1]);
  return 0;
}

void mproc__ends_close_child(struct mproc__ends *ends) {
  if (ends->child_control >= 0)
    mproc_close(ends->child_control);
  if (ends->child_lifeline >= 0)
    mproc_close(ends->child_lifeline);
  ends->child_control = ends->child_lifeline = -1;
}

void mproc__ends_close(struct mproc__ends *ends) {
  mproc__ends_close_child(ends);
  mproc_private_close(ends->control);
  mproc_private_close(ends->lifeline);
}
