/*
 * Barriers. All changes are made under the lock; `generation` is what sleepers
 * wait on: it moves on at the end of each round. A round was completed when
 * `breaks` has not moved on since, or when `completed` says so: by the time
 * that a waiter looks, the next round may have been broken.
 *
 * Killed right here: a process that dies under the lock may have counted
 * itself and not entered its name, or the reverse: whoever takes the lock over
 * breaks the barrier. One that dies as it waits, or before it comes back for
 * the next round, is found by those who wait, after a slice at the latest.
 */
#include <errno.h>
#include <string.h>

#include "mproc_atomic.h"
#include "mproc_base.h"
#include "sync_internal.h"

uint64_t mproc_barrier_bytes(uint32_t parties)
{
    return sizeof(struct mproc_barrier) + 2 * sizeof(uint64_t) * parties;
}

void mproc_barrier_init(struct mproc_barrier *barrier, uint32_t parties)
{
    memset(barrier, 0, mproc_barrier_bytes(parties));
    barrier->parties = parties;
}

static uint32_t load(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void add_one(uint32_t *word)
{
    __atomic_fetch_add(word, 1, __ATOMIC_RELEASE);
}

static void end_round(struct mproc_barrier *barrier)
{
    barrier->arrived = 0;
    add_one(&barrier->generation);
    mproc__wake_sleepers(&barrier->generation, &barrier->sleepers, UINT32_MAX);
}

static void break_round(struct mproc_barrier *barrier)
{
    barrier->is_broken = 1;
    add_one(&barrier->breaks); /* before the generation: read after it */
    end_round(barrier);
}

/* 0, or a negative error: the lock was not to be had. */
static int enter(struct mproc_barrier *barrier, struct mproc_patience patience)
{
    int result = mproc_lock_acquire(&barrier->lock, patience);

    if (result == 1)
        break_round(barrier);
    return result < 0 ? result : 0;
}

/* A holder that is not back by then was stopped, or there is none. */
static struct mproc_patience for_a_moment(void)
{
    return (struct mproc_patience){mproc_now_ns() + UINT64_C(500000000), NULL};
}

static void leave(struct mproc_barrier *barrier)
{
    mproc_lock_release(&barrier->lock);
}

/* One's place in a round. */
struct place {
    uint32_t index, generation, breaks;
    bool is_last;
};

static bool is_over(const struct mproc_barrier *barrier,
                    const struct place *place)
{
    return load(&barrier->generation) != place->generation;
}

static int outcome(const struct mproc_barrier *barrier,
                   const struct place *place)
{
    return load(&barrier->breaks) == place->breaks ||
                   load(&barrier->completed) == place->generation + 1
               ? (int)place->index
               : -EPIPE;
}

/* 0, or -EPIPE; the last one ends the round. */
static int arrive(struct mproc_barrier *barrier, uint32_t parties,
                  struct place *place, struct mproc_patience patience)
{
    int result = enter(barrier, patience);

    if (result < 0)
        return result;
    *place = (struct place){barrier->arrived, load(&barrier->generation),
                            load(&barrier->breaks), false};
    if (barrier->is_broken || place->index >= parties) {
        result = -EPIPE;
    } else {
        mproc_store_relaxed(&barrier->members[place->index], mproc__self());
        barrier->arrived = place->index + 1;
        place->is_last = barrier->arrived == parties;
    }
    if (place->is_last) {
        for (uint32_t i = 0; i < parties; i++) {
            mproc_store_relaxed(&barrier->members[parties + i],
                                mproc_load_relaxed(&barrier->members[i]));
            mproc_store_relaxed(&barrier->members[i], 0);
        }
        /* Before the generation: read after it. */
        __atomic_store_n(&barrier->completed, place->generation + 1,
                         __ATOMIC_RELEASE);
        end_round(barrier);
    }
    leave(barrier);
    return result;
}

static bool has_lost_one(const struct mproc_barrier *barrier, uint32_t parties)
{
    for (uint32_t i = 0; i < 2 * parties; i++) {
        uint64_t member = mproc_load_relaxed(&barrier->members[i]);
        if (member != 0 && mproc__is_dead(member))
            return true;
    }
    return false;
}

int mproc_barrier_wait(struct mproc_barrier *barrier, uint32_t parties,
                       struct mproc_patience patience)
{
    struct mproc__nap nap = mproc__nap_begin(patience);
    struct place place;
    int result = arrive(barrier, parties, &place, patience);

    if (result < 0 || place.is_last)
        return result < 0 ? result : (int)place.index;
    for (int i = 0; i < MPROC__SPINS && !is_over(barrier, &place); i++)
        mproc_pause();
    while (!is_over(barrier, &place)) {
        result = mproc__nap(&nap, &barrier->generation, place.generation,
                            &barrier->sleepers);
        if (is_over(barrier, &place) ||
            (result == 0 && !has_lost_one(barrier, parties)))
            continue;
        /* Who cannot break it leaves all the same: its arrival counts. */
        if (enter(barrier, for_a_moment()) == 0) {
            if (is_over(barrier, &place))
                result = 0;
            else
                break_round(barrier);
            leave(barrier);
        }
        if (result < 0)
            return result;
    }
    return outcome(barrier, &place);
}

void mproc_barrier_abort(struct mproc_barrier *barrier)
{
    int result = enter(barrier, for_a_moment());

    break_round(barrier);
    if (result == 0)
        leave(barrier);
}

void mproc_barrier_reset(struct mproc_barrier *barrier, uint32_t parties)
{
    int result = enter(barrier, for_a_moment());

    break_round(barrier);
    for (uint32_t i = 0; i < 2 * parties; i++)
        mproc_store_relaxed(&barrier->members[i], 0);
    barrier->is_broken = 0;
    if (result == 0)
        leave(barrier);
}
