/*
 * A lock that outlives its holders. States of the owner word:
 *
 *   0                          free
 *   process, flags             held; WAITERS: somebody sleeps or has slept;
 *                              HANDOFF: somebody has waited for long
 *   HANDOFF | WAITERS alone    given back to those who wait: who has slept
 *                              may take it, who has just come may not
 *
 * So a holder that takes the lock again and again passes it on when another
 * has slept for HANDOFF_NAPS slices.
 *
 * Killed right here: before the exchange that takes the lock, nothing has
 * happened. Between it and the release the word names a dead process, and the
 * next waiter takes over. Between the release and the wake the sleepers look
 * after a slice. A waiter for whom the lock was kept and who died: another one
 * takes it, as everybody has slept after one slice.
 */
#include <errno.h>
#include <stddef.h>

#include "mproc_atomic.h"
#include "sync_internal.h"

#define HANDOFF_NAPS 2
#define KEPT (MPROC__HANDOFF | MPROC__WAITERS)

static bool exchange(uint64_t *word, uint64_t expected, uint64_t desired)
{
    return __atomic_compare_exchange_n(word, &expected, desired, false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* The half that is waited on: the number and the flags. */
static const uint32_t *low_half(const uint64_t *word)
{
    return (const uint32_t *)word +
           (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 1 : 0);
}

static bool is_free(uint64_t owner, bool has_slept)
{
    return owner == 0 || (owner == KEPT && has_slept);
}

static bool names_nobody(uint64_t owner)
{
    return (owner & UINT32_MAX & ~MPROC__FLAGS) == 0;
}

/* Takes a lock that is free or a dead process's: 0 or 1; -EBUSY. */
static int take(struct mproc_lock *lock, uint64_t owner, bool has_slept,
                bool looks_for_dead)
{
    /* Others may sleep, of whom the word of a free lock says nothing. */
    uint64_t own = mproc__self() | (has_slept ? MPROC__WAITERS : 0) |
                   (owner & MPROC__WAITERS);

    if (is_free(owner, has_slept))
        return exchange(&lock->owner, owner, own) ? 0 : -EAGAIN;
    if (!looks_for_dead || owner == KEPT)
        return -EBUSY;
    if (!names_nobody(owner) && !mproc__is_dead(owner))
        return -EBUSY;
    return exchange(&lock->owner, owner, own | MPROC__WAITERS) ? 1 : -EAGAIN;
}

int mproc_lock_try(struct mproc_lock *lock)
{
    int result;

    do {
        uint64_t owner = mproc_load_acquire(&lock->owner);
        /* Nobody may be left of those for whom it is kept. */
        result = take(lock, owner, owner == KEPT, true);
    } while (result == -EAGAIN);
    return result;
}

static int acquire_slowly(struct mproc_lock *lock,
                          struct mproc_patience patience)
{
    struct mproc__nap nap = mproc__nap_begin(patience);

    for (int i = 0; i < MPROC__SPINS; i++) {
        if (mproc_load_relaxed(&lock->owner) == 0 &&
            exchange(&lock->owner, 0, mproc__self()))
            return 0;
        mproc_pause();
    }
    for (;;) {
        uint64_t owner = mproc_load_acquire(&lock->owner), wanted = owner;
        int result = take(lock, owner, nap.count > 0, nap.count > 0);

        if (result == -EAGAIN)
            continue;
        if (result >= 0)
            return result;
        wanted |= MPROC__WAITERS;
        if (nap.count >= HANDOFF_NAPS)
            wanted |= MPROC__HANDOFF;
        if (wanted != owner && !exchange(&lock->owner, owner, wanted))
            continue;
        result = mproc__nap(&nap, low_half(&lock->owner), (uint32_t)wanted,
                            NULL);
        if (result < 0)
            return result;
    }
}

int mproc_lock_acquire(struct mproc_lock *lock, struct mproc_patience patience)
{
    if (exchange(&lock->owner, 0, mproc__self()))
        return 0;
    return acquire_slowly(lock, patience);
}

int mproc_lock_release(struct mproc_lock *lock)
{
    uint64_t self = mproc__self(), owner, next;

    if (exchange(&lock->owner, self, 0))
        return 0;
    do {
        owner = mproc_load_relaxed(&lock->owner);
        if ((owner & ~MPROC__FLAGS) != self)
            return -EPERM;
        next = owner & MPROC__HANDOFF ? KEPT : 0;
    } while (!exchange(&lock->owner, owner, next));
    if (owner & MPROC__WAITERS)
        mproc__wake(low_half(&lock->owner), 1);
    return 0;
}

bool mproc_lock_is_mine(const struct mproc_lock *lock)
{
    return (mproc_load_relaxed(&lock->owner) & ~MPROC__FLAGS) == mproc__self();
}
