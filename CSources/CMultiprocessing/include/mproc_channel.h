/*
 * One side's view of the channel between the application and one worker
 * process, and everything in it that is not a record: sleep and wake,
 * progress, commands, placement. The rings are in mproc_ring.h.
 *
 * Each side owns one segment (mproc_segment.h), which it alone writes, and
 * reads its peer's. One thread at a time may produce, one consume, one sleep;
 * these may be three threads. No function but mproc_channel_sleep, _wait and
 * _wake makes a system call.
 *
 * Memory order (own = segment of the caller, peer = that of the other side)
 *
 *  label field           written by, order      pairs with, order
 *  P1    own.tail        producer, release      C1 peer.tail, acquire
 *        records below tail are complete; tail never moves back
 *  C2    own.head        consumer, release      P2 peer.head, acquire
 *        records below head are no longer read; head <= the peer's tail
 *  L1    channel.freed   whoever frees, release L2 producer, acquire
 *        (private memory: the thread that frees and the producer may differ)
 *  W1    own.accepted,   worker, release        A1 application, acquire
 *        .cursor, .partial: results that the cursor counts are stored;
 *        .began is stored ahead of accepted, relaxed
 *  W2    own.waiting     worker, relaxed        A2 application, relaxed
 *        one word that means nothing for any other
 *  K1    own.control     application, release   K2 worker, acquire
 *  R1    own.arena_head  reader, release        R2 peer, acquire
 *  S1    own.sleeping    sleeper, relaxed, then full fence S2, then it reads
 *        the word it sleeps on again (FUTEX_WAIT does, or the caller)
 *  D1    after P1 (or C2) full fence, then D2: peer.sleeping, relaxed
 *        S1-S2-read and P1-D1-D2 are a Dekker pair: the sleeper sees the new
 *        word or the waker sees the sleeper. A sleep counts as rung only
 *        when a FUTEX_WAKE found it asleep, or by a doorbell that stays rung:
 *        a wake may still be on its way for a word that the sleeper saw
 *        before S1, and must not be taken for that of the next word.
 */
#ifndef MPROC_CHANNEL_H
#define MPROC_CHANNEL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mproc_atomic.h"
#include "mproc_segment.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "futexes are the low halves of 64-bit words");

/* Values of the peer's `sleeping`: as last seen, and as last rung. */
struct mproc_channel_bell {
    uint64_t seen;
    uint64_t rung;
};

/* One side's private view. Groups lie 128 bytes apart: one thread each. */
struct mproc_channel {
    struct mproc_segment_header *own;
    const struct mproc_segment_header *peer;
    uint8_t *own_ring;
    const uint8_t *peer_ring;
    uint64_t own_capacity;
    uint64_t peer_capacity;
    uint64_t max_payload; /* of one record in the own ring */
    uint64_t pad0[9];
    /* producer */
    uint64_t tail;      /* position after the last committed record */
    uint64_t published; /* position that the peer has been told */
    uint64_t limit;     /* the own ring is free up to here */
    uint64_t padding;   /* of the reservation: bytes skipped before it */
    uint64_t reserved;  /* of the reservation: payload bytes granted */
    struct mproc_channel_bell tail_bell;
    uint64_t pad1[9];
    /* written by whoever frees space of the own ring */
    uint64_t freed;
    uint64_t pad2[15];
    /* consumer */
    uint64_t head;      /* position of the next record */
    uint64_t peer_tail; /* the peer's tail when last read */
    uint64_t peeked;    /* bytes of the record that peek returned, or 0 */
    uint64_t stride;    /* bytes of the record before it */
    struct mproc_channel_bell head_bell;
    uint64_t pad3[10];
    /* sleeper */
    uint64_t sleep_generation;
    uint64_t pad4[15];
};

/* The word a process sleeps on: 64 bits, of which the futex is the low half. */
enum mproc_channel_word {
    MPROC_WORD_TAIL = 0,    /* for records */
    MPROC_WORD_HEAD = 1,    /* for room in its own ring */
    MPROC_WORD_CONTROL = 2, /* for a command; needs no announcement */
};

/*
 * Opens the channel of the side that owns (has mapped writable) `own`. Both
 * segments must be fresh and outlive it. Both sides may be threads over one
 * mapping of each segment, for ThreadSanitizer, which sees nothing across two.
 * Returns 0 or -EINVAL when the two do not belong together.
 */
int mproc_channel_open(struct mproc_channel *channel,
                       const struct mproc_segment *own,
                       const struct mproc_segment *peer);

/* MARK: - Progress */

/*
 * What a worker shows of the record that it runs, so that the application
 * knows after a crash what was done. Order in the worker, for each record:
 * set_cursor(0, 0) and clear_partial, then set_accepted, then the work. The
 * application looks only after it has drained the ring: a record whose
 * completion arrived is done, whatever stands here.
 *
 * The items and bytes of the cursor are the worker's claim: the application
 * checks items against the record it sent, bytes with mproc_ring_peek_partial.
 */
static inline void mproc_channel_set_accepted(struct mproc_channel *channel,
                                              uint64_t position)
{
    mproc_store_release(&channel->own->accepted, position); /* W1: A1 */
}

static inline uint64_t
mproc_channel_peer_accepted(const struct mproc_channel *channel)
{
    return mproc_load_acquire(&channel->peer->accepted); /* A1: W1 */
}

/* `items` done (below 2^24) and `bytes` of results stored (below 2^40). */
static inline void mproc_channel_set_cursor(struct mproc_channel *channel,
                                            uint32_t items, uint64_t bytes)
{
    mproc_store_release(&channel->own->cursor, /* W1: A1 */
                        bytes << 24 | (items & 0xffffffu));
}

static inline void
mproc_channel_peer_cursor(const struct mproc_channel *channel,
                          uint32_t *items, uint64_t *bytes)
{
    uint64_t cursor = mproc_load_acquire(&channel->peer->cursor); /* A1: W1 */

    *items = (uint32_t)(cursor & 0xffffffu);
    *bytes = cursor >> 24;
}

/* The caller's own cursor, which it alone writes. */
static inline void
mproc_channel_own_cursor(const struct mproc_channel *channel,
                         uint32_t *items, uint64_t *bytes)
{
    uint64_t cursor = mproc_load_relaxed(&channel->own->cursor);

    *items = (uint32_t)(cursor & 0xffffffu);
    *bytes = cursor >> 24;
}

/* MARK: - Commands and placement */

/* The application's command word; its meaning is the caller's. */
static inline void mproc_channel_set_control(struct mproc_channel *channel,
                                             uint64_t command)
{
    mproc_store_release(&channel->own->control, command); /* K1: K2 */
}

static inline uint64_t
mproc_channel_peer_control(const struct mproc_channel *channel)
{
    return mproc_load_acquire(&channel->peer->control); /* K2: K1 */
}

/*
 * The CPU on which the owner last ran, a hint: spinning for a peer on one's
 * own CPU costs it whole time slices. -1: not told.
 */
static inline void mproc_channel_set_cpu(struct mproc_channel *channel,
                                         int cpu)
{
    uint64_t word = (uint64_t)(int64_t)cpu + 1;

    if (mproc_load_relaxed(&channel->own->cpu) != word)
        mproc_store_relaxed(&channel->own->cpu, word);
}

static inline int mproc_channel_peer_cpu(const struct mproc_channel *channel)
{
    return (int)(mproc_load_relaxed(&channel->peer->cpu) & 0xffffffu) - 1;
}

/*
 * Bytes of the peer's arena that the caller has released, in the order in
 * which they were allocated: a position for mproc_arena_release_through.
 */
static inline void mproc_channel_set_arena_head(struct mproc_channel *channel,
                                                uint64_t position)
{
    mproc_store_release(&channel->own->arena_head, position); /* R1: R2 */
}

static inline uint64_t
mproc_channel_peer_arena_head(const struct mproc_channel *channel)
{
    return mproc_load_acquire(&channel->peer->arena_head); /* R2: R1 */
}

/* MARK: - Sleeping and waking */

/*
 * Sleeps in one call; this is what a worker uses. `observed` is the low half
 * of the peer's word when the caller last looked at it and found nothing: for
 * TAIL, channel->head after mproc_ring_peek returned 0; for HEAD,
 * channel->freed after mproc_ring_refresh_limit and a failed reserve. Returns
 * 0 when there is reason to look again, or none; -ETIMEDOUT; or -errno.
 * `timeout_ns` < 0: for ever.
 */
int mproc_channel_sleep(struct mproc_channel *channel,
                        enum mproc_channel_word word, uint32_t observed,
                        int64_t timeout_ns);

/*
 * The parts of a sleep, for those who sleep in epoll or look at more than the
 * word: announce (TAIL or HEAD), look again, sleep unless there is something,
 * end_sleep in any case. Each sleep needs an announcement of its own. An
 * eventfd that is the doorbell is emptied only between end_sleep and the next
 * announcement, because the peer rings it once for each.
 *
 * Who sleeps on many channels at once marks each with _mark_asleep, runs one
 * mproc_fence_full, and looks at all rings again.
 */
static inline void mproc_channel_mark_asleep(struct mproc_channel *channel,
                                             enum mproc_channel_word word)
{
    channel->sleep_generation += 4;
    mproc_store_relaxed(&channel->own->sleeping, /* S1 */
                        channel->sleep_generation | (uint64_t)word << 1 | 1);
}

static inline void mproc_channel_announce_sleep(struct mproc_channel *channel,
                                                enum mproc_channel_word word)
{
    mproc_channel_mark_asleep(channel, word);
    mproc_fence_full(); /* S2: D1 */
}

static inline void mproc_channel_end_sleep(struct mproc_channel *channel)
{
    mproc_store_relaxed(&channel->own->sleeping, channel->sleep_generation);
}

/*
 * The peer's `sleeping` word, without a fence: odd while it sleeps, and
 * another value for each sleep. For those who keep their own account of whom
 * they rang; the fence D1 is then theirs.
 */
static inline uint64_t
mproc_channel_peer_generation(const struct mproc_channel *channel)
{
    return mproc_load_relaxed(&channel->peer->sleeping); /* D2 */
}

/*
 * Whether the caller, who has just published tail or head (`word`), must wake
 * the peer: it sleeps for this reason and was not rung yet. Then the caller
 * either calls mproc_channel_wake, or rings a doorbell that stays rung (an
 * eventfd) and calls mproc_channel_mark_rung. Costs a full fence. Called by
 * the producer for TAIL and by the consumer for HEAD.
 */
static inline bool mproc_channel_peer_sleeps(struct mproc_channel *channel,
                                             enum mproc_channel_word word)
{
    struct mproc_channel_bell *bell =
        word == MPROC_WORD_HEAD ? &channel->head_bell : &channel->tail_bell;

    mproc_fence_full();                                  /* D1: S2 */
    bell->seen = mproc_channel_peer_generation(channel); /* D2: S1 */
    return (bell->seen & 3) == ((uint64_t)word << 1 | 1) &&
           bell->seen != bell->rung;
}

static inline void mproc_channel_mark_rung(struct mproc_channel *channel,
                                           enum mproc_channel_word word)
{
    struct mproc_channel_bell *bell =
        word == MPROC_WORD_HEAD ? &channel->head_bell : &channel->tail_bell;

    bell->rung = bell->seen;
}

/*
 * Sleeps while the low half of the peer's word is `observed` (TAIL: the peer
 * published nothing beyond it; HEAD: it consumed nothing beyond it; CONTROL).
 * `timeout_ns` < 0: for ever. Returns 0 when woken, for any reason or none,
 * -ETIMEDOUT, or -errno.
 */
int mproc_channel_wait(const struct mproc_channel *channel,
                       enum mproc_channel_word word, uint32_t observed,
                       int64_t timeout_ns);

/*
 * Wakes the thread that waits for the caller's own word, and marks its sleep
 * as rung if there was one. Returns how many it woke, or -errno.
 */
int mproc_channel_wake(struct mproc_channel *channel,
                       enum mproc_channel_word word);

#endif
