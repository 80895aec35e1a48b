/*
 * The pair of single-producer single-consumer byte rings of a channel.
 *
 * Positions are free-running 64-bit byte counts, multiples of 8. A record is
 * { u32 size with header; u32 kind } and the payload, 8-byte aligned and never
 * split; kind 0 is the padding up to the end of the ring. Nothing that the
 * peer can write is trusted: it is read once, into a local, and checked
 * against the ring before use. Memory order: the table in mproc_channel.h.
 *
 *        freed          published        tail             limit
 *   ...----|---- in use ----|-- committed --|---- free -------|...
 *                                            limit = freed + capacity
 *
 * Crash note: a side may die between any two instructions. Before P1 the peer
 * sees none of the record, after it all of it; before C2 a record counts as
 * not consumed. Reserve and commit touch only memory between the published
 * tail and the limit, which the peer never reads, `partial` aside, and there
 * only what the cursor already counts.
 */
#ifndef MPROC_RING_H
#define MPROC_RING_H

#include "mproc_channel.h"

#define MPROC_RECORD_HEADER_SIZE 8
#define MPROC_KIND_PADDING 0

/*
 * The largest payload of a record, half of the ring less the header: such a
 * record fits whenever the ring is empty, wherever its tail stands. Two
 * records of a quarter each are always in flight together.
 */
static inline uint64_t mproc_ring_max_payload(uint64_t ring_capacity)
{
    return ring_capacity / 2 - MPROC_RECORD_HEADER_SIZE;
}

/* Bytes that a record with `payload_size` takes; positions advance by this. */
static inline uint64_t mproc_ring_record_size(uint64_t payload_size)
{
    return (payload_size + MPROC_RECORD_HEADER_SIZE + 7) & ~UINT64_C(7);
}

/* MARK: - Producing */

/* Not for callers: bytes free from the tail on, after a look at `freed`. */
static inline uint64_t mproc__ring_free(struct mproc_channel *channel,
                                        uint64_t needed)
{
    if (__builtin_expect(channel->limit - channel->tail < needed, 0))
        channel->limit = mproc_load_acquire(&channel->freed) /* L2: L1 */
                         + channel->own_capacity;
    return channel->limit - channel->tail;
}

/*
 * A place for `payload_size` bytes, 8-byte aligned, or NULL when the ring has
 * no room (or never will: mproc_ring_max_payload). Reserving again without a
 * commit replaces the reservation; giving it up needs no call.
 */
static inline void *mproc_ring_reserve(struct mproc_channel *channel,
                                       size_t payload_size)
{
    uint64_t offset = channel->tail & (channel->own_capacity - 1);
    uint64_t to_end = channel->own_capacity - offset;
    uint64_t needed = mproc_ring_record_size(payload_size);
    uint64_t padding = 0;

    if (__builtin_expect(payload_size > channel->max_payload, 0))
        return NULL;
    if (__builtin_expect(needed > to_end, 0)) {
        padding = to_end;
        offset = 0;
    }
    if (mproc__ring_free(channel, padding + needed) < padding + needed)
        return NULL;
    channel->padding = padding;
    channel->reserved = payload_size;
    return channel->own_ring + offset + MPROC_RECORD_HEADER_SIZE;
}

/*
 * As mproc_ring_reserve, but all the contiguous room that there is, at least
 * `minimum` bytes, up to max_payload; `*available` is set to it. For values
 * whose size is known only when they are encoded.
 */
static inline void *mproc_ring_reserve_most(struct mproc_channel *channel,
                                            size_t minimum, size_t *available)
{
    uint8_t *payload = (uint8_t *)mproc_ring_reserve(channel, minimum);
    uint64_t offset, room, to_end;

    if (payload == NULL)
        return NULL;
    offset = (uint64_t)(payload - channel->own_ring);
    to_end = channel->own_capacity - offset;
    room = mproc__ring_free(channel, channel->own_capacity)
           - channel->padding - MPROC_RECORD_HEADER_SIZE;
    if (room > to_end)
        room = to_end;
    if (room > channel->max_payload)
        room = channel->max_payload;
    channel->reserved = room;
    *available = room;
    return payload;
}

/* Where the payload of the current reservation lies. */
static inline void *
mproc_ring_reserved(const struct mproc_channel *channel)
{
    uint64_t position = channel->tail + channel->padding;

    return channel->own_ring + (position & (channel->own_capacity - 1)) +
           MPROC_RECORD_HEADER_SIZE;
}

/*
 * Ends the reservation with its first `payload_size` bytes as a record of
 * `kind` (not 0). The peer sees it with the next publish; channel->tail is
 * the position after it. More bytes than reserved are a programming error and
 * trap.
 */
static inline void mproc_ring_commit(struct mproc_channel *channel,
                                     size_t payload_size, uint32_t kind)
{
    uint64_t mask = channel->own_capacity - 1;
    uint64_t tail = channel->tail;
    uint64_t size = payload_size + MPROC_RECORD_HEADER_SIZE;

    if (__builtin_expect(payload_size > channel->reserved, 0))
        __builtin_trap();
    if (__builtin_expect(channel->padding != 0, 0)) {
        *(uint64_t *)(void *)(channel->own_ring + (tail & mask)) =
            channel->padding | (uint64_t)MPROC_KIND_PADDING << 32;
        tail += channel->padding;
        channel->padding = 0;
    }
    *(uint64_t *)(void *)(channel->own_ring + (tail & mask)) =
        size | (uint64_t)kind << 32;
    channel->reserved = 0;
    channel->tail = tail + mproc_ring_record_size(payload_size);
}

/* Shows the peer every committed record. One store. */
static inline void mproc_ring_publish(struct mproc_channel *channel)
{
    channel->published = channel->tail;
    mproc_store_release(&channel->own->tail, channel->tail); /* P1: C1 */
}

/*
 * Frees the own ring up to `freed`, a position that channel->tail once had.
 * The application calls this from its own ledger of completions, which a
 * worker's memory cannot falsify. Any one thread; never moves back.
 */
static inline void mproc_ring_set_limit(struct mproc_channel *channel,
                                        uint64_t freed)
{
    mproc_store_release(&channel->freed, freed); /* L1: L2 */
}

/*
 * Frees the own ring up to the head that the peer published: for the worker,
 * whose peer is the application. Returns 0, or -EPROTO when that head lies
 * behind an earlier one or beyond what was published.
 */
static inline int mproc_ring_refresh_limit(struct mproc_channel *channel)
{
    uint64_t head = mproc_load_acquire(&channel->peer->head); /* P2: C2 */

    if (head - channel->freed > channel->published - channel->freed)
        return -EPROTO;
    mproc_store_release(&channel->freed, head); /* L1: L2 */
    return 0;
}

/*
 * Tells the application where the payload of the current reservation lies, so
 * that it can save from it, after a crash, the results that the cursor counts.
 * Renewed with every reservation for the record; cleared by clear_partial.
 * What the cursor counts must be published before the room is used for
 * anything else: reserving again gives the same room.
 */
static inline void mproc_ring_set_partial(struct mproc_channel *channel)
{
    mproc_store_release(&channel->own->partial, /* W1: A1 */
                        channel->tail + channel->padding + 1);
}

static inline void mproc_ring_clear_partial(struct mproc_channel *channel)
{
    mproc_store_release(&channel->own->partial, 0); /* W1: A1 */
}

/* MARK: - Consuming */

/*
 * Looks at the next record of the peer's ring. Returns 1 and its payload,
 * readable until mproc_ring_publish_head makes it known as consumed; 0 when
 * there is none; -EPROTO when the ring is inconsistent, after which the peer
 * is not to be used any more. Peeking again returns the same record.
 */
static inline int mproc_ring_peek(struct mproc_channel *channel,
                                  const void **payload, size_t *size,
                                  uint32_t *kind)
{
    uint64_t mask = channel->peer_capacity - 1;
    uint64_t head = channel->head;
    uint64_t word, offset, record, guess, same;

    if (head == channel->peer_tail) {
        uint64_t tail = mproc_load_acquire(&channel->peer->tail); /* C1: P1 */
        if (tail == head)
            return 0;
        if (tail - head > channel->peer_capacity || (tail & 7) != 0)
            return -EPROTO;
        channel->peer_tail = tail;
    }
    offset = head & mask;
    word = mproc_load_relaxed(
        (const uint64_t *)(const void *)(channel->peer_ring + offset));
    if (__builtin_expect(word >> 32 == MPROC_KIND_PADDING, 0)) {
        /* Padding ends the ring exactly and a record follows it. */
        record = channel->peer_capacity - offset;
        if (offset == 0 || word != record ||
            channel->peer_tail - head <= record)
            return -EPROTO;
        channel->head = head += record;
        offset = 0;
        word = mproc_load_relaxed(
            (const uint64_t *)(const void *)channel->peer_ring);
        if (word >> 32 == MPROC_KIND_PADDING)
            return -EPROTO;
    }
    record = ((word & UINT32_MAX) + 7) & ~UINT64_C(7);
    if ((word & UINT32_MAX) < MPROC_RECORD_HEADER_SIZE ||
        record > channel->peer_tail - head ||
        record > channel->peer_capacity - offset)
        return -EPROTO;
    /*
     * The place of the next record must not wait for the load of this one's
     * size: a size that repeats is guessed, and the branch predictor breaks
     * the chain (near, bursts of 8 bytes: 1.5 times the records a second).
     * The first asm hides from the compiler that both values are equal, the
     * second keeps the branch a branch.
     */
    guess = same = channel->stride;
    __asm__("" : "+r"(same));
    if (__builtin_expect(same != record, 0)) {
        channel->stride = guess = record;
        __asm__ volatile("");
    }
    channel->peeked = guess;
    *payload = channel->peer_ring + offset + MPROC_RECORD_HEADER_SIZE;
    *size = (word & UINT32_MAX) - MPROC_RECORD_HEADER_SIZE;
    *kind = (uint32_t)(word >> 32);
    return 1;
}

/* Whether peek would not return 0; for spinning. */
static inline bool
mproc_ring_has_records(const struct mproc_channel *channel)
{
    return channel->head != channel->peer_tail ||
           mproc_load_relaxed(&channel->peer->tail) != channel->head;
}

/* Steps over the record that peek returned. */
static inline void mproc_ring_consume(struct mproc_channel *channel)
{
    channel->head += channel->peeked;
    channel->peeked = 0;
}

/*
 * Lets the peer reuse what was consumed. Once every quarter of the ring, and
 * before sleeping, is enough; each call costs the peer a cache miss.
 */
static inline void mproc_ring_publish_head(struct mproc_channel *channel)
{
    mproc_store_release(&channel->own->head, channel->head); /* C2: P2 */
}

/*
 * The first `size` payload bytes of the record that a dead peer was still
 * building (mproc_ring_set_partial). Only when peek has returned 0. Returns 1,
 * 0 when there is no such record, or -EPROTO when it is not where one can be.
 */
static inline int mproc_ring_peek_partial(const struct mproc_channel *channel,
                                          size_t size, const void **payload)
{
    uint64_t partial = mproc_load_acquire(&channel->peer->partial); /* A1 */
    uint64_t position = partial - 1;
    uint64_t offset = position & (channel->peer_capacity - 1);
    uint64_t room = channel->peer_capacity - MPROC_RECORD_HEADER_SIZE;

    if (partial == 0)
        return 0;
    if ((position & 7) != 0 || size > room || offset > room - size ||
        position - channel->head >= channel->peer_capacity)
        return -EPROTO;
    *payload = channel->peer_ring + offset + MPROC_RECORD_HEADER_SIZE;
    return 1;
}

#endif
