/*
 * What a worker tells of its time: how long it has waited, and when the record
 * that it runs began. One word each in its segment, of its own writing, so
 * that they can be read at any instant, and after its end. The labels are
 * those of the table in mproc_channel.h. Times are of mproc_now_ns.
 */
#ifndef MPROC_ACTIVITY_H
#define MPROC_ACTIVITY_H

#include "mproc_channel.h"

/* When the record that is about to be accepted began; for timelines. */
static inline void mproc_channel_set_began(struct mproc_channel *channel,
                                           uint64_t now_ns)
{
    mproc_store_relaxed(&channel->own->began, now_ns); /* before W1 */
}

static inline uint64_t
mproc_channel_own_began(const struct mproc_channel *channel)
{
    return mproc_load_relaxed(&channel->own->began);
}

/* The worker's claim, as the cursor is; after mproc_channel_peer_accepted. */
static inline uint64_t
mproc_channel_peer_began(const struct mproc_channel *channel)
{
    return mproc_load_relaxed(&channel->peer->began); /* after A1 */
}

/*
 * How long a worker has waited in all, in one word, so that whoever reads it
 * at any instant, also of a dead worker, reads a number that was true: while
 * it works twice the total; while it waits twice (the beginning of the wait
 * less the total before it), plus 1.
 */
static inline void mproc_channel_begin_wait(struct mproc_channel *channel,
                                            uint64_t now_ns)
{
    uint64_t total = mproc_load_relaxed(&channel->own->waiting) >> 1;

    mproc_store_relaxed(&channel->own->waiting, /* W2: A2 */
                        (now_ns - total) << 1 | 1);
}

static inline void mproc_channel_end_wait(struct mproc_channel *channel,
                                          uint64_t now_ns)
{
    uint64_t since = mproc_load_relaxed(&channel->own->waiting) >> 1;

    mproc_store_relaxed(&channel->own->waiting, /* W2: A2 */
                        (now_ns - since) << 1);
}

/* The worker's claim: to be bounded by the time that it has existed. */
static inline uint64_t
mproc_channel_peer_waited(const struct mproc_channel *channel, uint64_t now_ns)
{
    uint64_t word = mproc_load_relaxed(&channel->peer->waiting); /* A2: W2 */
    uint64_t since = word >> 1;

    if ((word & 1) == 0)
        return word >> 1;
    return now_ns > since ? now_ns - since : 0;
}

#endif
