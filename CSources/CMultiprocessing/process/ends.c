/* The two ends of what joins the application and a child, and the record of
 * which descriptors are the application's alone. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "mproc_base.h"
#include "process_internal.h"

/* One bit a descriptor. */
#define PRIVATE_WORDS (1 << 14)
static _Atomic uint64_t private_descriptors[PRIVATE_WORDS];

/* Held from the making of descriptors to their marking, and while this process
 * is copied: no copy gets one that is not marked yet. */
static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;

void mproc__private_lock(void) {
  pthread_mutex_lock(&making);
}

void mproc__private_unlock(void) {
  pthread_mutex_unlock(&making);
}

void mproc__private_unlock_copy(void) {
  /* It is locked by a thread that this process does not have. */
  making = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

static void mark(int descriptor) {
  if (descriptor < PRIVATE_WORDS * 64)
    atomic_fetch_or_explicit(&private_descriptors[descriptor / 64],
                             1ull << descriptor % 64, memory_order_relaxed);
}

static int make_private(int (*make)(int ends[2]), int ends[2]) {
  mproc__private_lock();
  int result = make(ends);
  if (result == 0) {
    mark(ends[0]);
    mark(ends[1]);
  }
  mproc__private_unlock();
  return result;
}

int mproc_private_socket_pair(int ends[2]) {
  return make_private(mproc_socket_pair, ends);
}

int mproc_private_pipe(int ends[2]) {
  return make_private(mproc_pipe, ends);
}

void mproc__private_add(int descriptor) {
  if (descriptor >= 0)
    mark(descriptor);
}

bool mproc__private_remove(int descriptor) {
  if (descriptor < 0 || descriptor >= PRIVATE_WORDS * 64)
    return descriptor >= 0;
  uint64_t bit = 1ull << descriptor % 64;
  return atomic_fetch_and_explicit(&private_descriptors[descriptor / 64], ~bit,
                                   memory_order_relaxed) &
         bit;
}

void mproc_private_close(int descriptor) {
  /* In a forked copy it is closed already, and the number may be another's. */
  if (mproc__private_remove(descriptor))
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
  int result = mproc_private_socket_pair(pair);
  if (result < 0)
    return result;
  ends->control = pair[0];
  ends->child_control = pair[1];
  if (outlives)
    return 0;
  result = mproc_private_pipe(pair);
  if (result < 0) {
    mproc__ends_close(ends);
    return result;
  }
  ends->child_lifeline = pair[0];
  ends->lifeline = pair[1];
  return 0;
}

void mproc__ends_close_child(struct mproc__ends *ends) {
  mproc_private_close(ends->child_control);
  mproc_private_close(ends->child_lifeline);
  ends->child_control = ends->child_lifeline = -1;
}

void mproc__ends_close(struct mproc__ends *ends) {
  mproc__ends_close_child(ends);
  mproc_private_close(ends->control);
  mproc_private_close(ends->lifeline);
}
