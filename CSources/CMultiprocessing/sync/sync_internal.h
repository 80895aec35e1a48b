/* What the primitives of mproc_sync.h have in common. */
#ifndef MPROC_SYNC_INTERNAL_H
#define MPROC_SYNC_INTERNAL_H

#include "mproc_sync.h"

/* MARK: - Who holds (owner.c) */

/* This process as an owner word: never 0, flags clear. */
uint64_t mproc__self(void);
/* Whether the process that an owner word names has ended. Costs some 10 us. */
bool mproc__is_dead(uint64_t owner);

/* In the low half of an owner word, beside the process number. */
#define MPROC__WAITERS (UINT64_C(1) << 31)
#define MPROC__HANDOFF (UINT64_C(1) << 30)
#define MPROC__FLAGS (MPROC__WAITERS | MPROC__HANDOFF)

/* MARK: - Sleeping (sleep.c) */

/* One wait: its limits, and how long the next slice is. */
struct mproc__nap {
    struct mproc_patience patience;
    uint64_t slice_ns;
    unsigned count; /* slices slept */
};

struct mproc__nap mproc__nap_begin(struct mproc_patience patience);
/*
 * Sleeps while the word is `observed`, for a slice at most; counts itself in
 * `sleepers`, if that is not NULL. 0 to look again, whatever the reason;
 * -ETIMEDOUT or -ECANCELED when the patience is at its end.
 */
int mproc__nap(struct mproc__nap *nap, const uint32_t *word, uint32_t observed,
               uint32_t *sleepers);
void mproc__wake(const uint32_t *word, uint32_t count);
/* After a change of `word`: wakes so many, if anybody sleeps. */
void mproc__wake_sleepers(const uint32_t *word, const uint32_t *sleepers,
                          uint32_t count);

/* How often a waiter looks before it sleeps: some microseconds, as much as a
 * sleep and its wake cost. */
#define MPROC__SPINS 200

#endif
