/*
 * Opening a channel and its two system calls. Futexes here are the shared
 * kind: the two sides have the word at different addresses. FUTEX_WAIT needs
 * only a readable page, so a side can sleep on its peer's read-only mapping.
 */
#include "mproc_ring.h"

#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int mproc_channel_open(struct mproc_channel *channel,
                       const struct mproc_segment *own,
                       const struct mproc_segment *peer)
{
    if (own->header == NULL || peer->header == NULL ||
        own->header == peer->header || own->start != peer->start)
        return -EINVAL;
    memset(channel, 0, sizeof *channel);
    channel->own = own->header;
    channel->peer = peer->header;
    channel->own_ring = (uint8_t *)own->header + MPROC_SEGMENT_RING_OFFSET;
    channel->peer_ring =
        (const uint8_t *)peer->header + MPROC_SEGMENT_RING_OFFSET;
    channel->own_capacity = own->ring_capacity;
    channel->peer_capacity = peer->ring_capacity;
    channel->max_payload = mproc_ring_max_payload(own->ring_capacity);
    channel->tail = own->start;
    channel->published = own->start;
    channel->freed = own->start;
    channel->limit = own->start + own->ring_capacity;
    channel->head = peer->start;
    channel->peer_tail = peer->start;
    return 0;
}

static const uint64_t *word_of(const struct mproc_segment_header *header,
                               enum mproc_channel_word word)
{
    switch (word) {
    case MPROC_WORD_TAIL:
        return &header->tail;
    case MPROC_WORD_HEAD:
        return &header->head;
    case MPROC_WORD_CONTROL:
        return &header->control;
    }
    return NULL;
}

int mproc_channel_wait(const struct mproc_channel *channel,
                       enum mproc_channel_word word, uint32_t observed,
                       int64_t timeout_ns)
{
    const uint64_t *address = word_of(channel->peer, word);
    struct timespec timeout = {
        .tv_sec = (time_t)(timeout_ns / 1000000000),
        .tv_nsec = (long)(timeout_ns % 1000000000),
    };

    if (address == NULL)
        return -EINVAL;
    if (syscall(SYS_futex, address, FUTEX_WAIT, observed,
                timeout_ns < 0 ? NULL : &timeout, NULL, 0) == 0)
        return 0;
    return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

int mproc_channel_sleep(struct mproc_channel *channel,
                        enum mproc_channel_word word, uint32_t observed,
                        int64_t timeout_ns)
{
    int result;

    mproc_channel_announce_sleep(channel, word);
    result = mproc_channel_wait(channel, word, observed, timeout_ns);
    mproc_channel_end_sleep(channel);
    return result;
}

int mproc_channel_wake(struct mproc_channel *channel,
                       enum mproc_channel_word word)
{
    const uint64_t *address = word_of(channel->own, word);
    long woken;

    if (address == NULL)
        return -EINVAL;
    woken = syscall(SYS_futex, address, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
    if (woken < 0)
        return -errno;
    if (woken > 0 && word != MPROC_WORD_CONTROL)
        mproc_channel_mark_rung(channel, word);
    return (int)woken;
}
