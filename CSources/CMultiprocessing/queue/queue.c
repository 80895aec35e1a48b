/* Sending and receiving. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "mproc_atomic.h"
#include "mproc_base.h"
#include "queue_internal.h"

#define LOCK_PATIENCE_NS UINT64_C(500000000)

/* MARK: - Waiting */

int mproc__queue_enter(struct mproc_queue *queue,
                       struct mproc_patience patience)
{
    int result;

    if (patience.deadline_ns != UINT64_MAX && patience.deadline_ns != 0) {
        uint64_t least = mproc_now_ns() + LOCK_PATIENCE_NS;
        if (patience.deadline_ns < least)
            patience.deadline_ns = least;
    }
    /* 1, when the holder died, is as good as 0: see mproc_queue.h. */
    result = mproc_lock_acquire(&queue->header->lock, patience);
    return result < 0 ? result : 0;
}

void mproc__queue_leave(struct mproc_queue *queue)
{
    mproc_lock_release(&queue->header->lock);
}

int mproc__queue_nap(struct mproc__nap *nap, struct mproc_condition *condition,
                     uint32_t ticket)
{
    bool spins = nap->count == 0 && nap->patience.deadline_ns != 0;

    for (int i = 0; spins && i < MPROC__SPINS; i++) {
        if (mproc_condition_ticket(condition) != ticket)
            return 0;
        mproc_pause();
    }
    return mproc__nap(nap, &condition->sequence, ticket, &condition->sleepers);
}

/* Who has slept and gives up may have been woken for what another waits for. */
static void hand_on(struct mproc_condition *condition,
                    const struct mproc__nap *nap)
{
    if (nap->count > 0)
        mproc_condition_notify(condition, false);
}

/* Whether the other end of the sockets is nobody's any more. */
static bool is_deserted(int end)
{
    struct pollfd one = {.fd = end};

    return poll(&one, 1, 0) == 1 && (one.revents & (POLLHUP | POLLERR)) != 0;
}

/* MARK: - Sending */

static int push_now(struct mproc_queue *queue, int sender, const void *bytes,
                    size_t size, const int *descriptors, int descriptor_count)
{
    struct mproc__queue_header *header = queue->header;
    uint64_t head = mproc_load_relaxed(&header->head);
    uint64_t tail = mproc_load_relaxed(&header->tail);
    struct mproc__slot *slot = &queue->slots[tail % queue->capacity];
    uint64_t offset = 0, message = 0;
    void *place;
    int result;

    if (mproc_load_relaxed(&header->finished) != 0)
        return -EPIPE;
    if (tail - head > queue->capacity)
        return -EPROTO;
    if (tail - head == queue->capacity)
        return -EAGAIN;
    result = mproc__queue_place(queue, head, tail, size, &offset);
    if (result == 0)
        result = mproc__queue_reserve(queue, offset, size);
    if (result < 0)
        return result;
    place = mproc__queue_bytes(queue, offset);
    if (place == NULL)
        return -ENOMEM;
    if (size > 0)
        memcpy(place, bytes, size);
    if (descriptor_count > 0) {
        message = mproc_load_relaxed(&header->messages) + 1;
        mproc_store_release(&header->messages, message);
        result = mproc__queue_carry(sender, message, descriptors,
                                    descriptor_count);
        if (result < 0)
            return result;
    }
    mproc_store_relaxed(&slot->offset, offset);
    mproc_store_relaxed(&slot->size, size);
    mproc_store_relaxed(&slot->message, message);
    mproc_store_release(&header->tail, tail + 1); /* the push */
    if (message != 0)
        mproc_store_release(&header->settled, message);
    return 0;
}

int mproc_queue_push(struct mproc_queue *queue, int sender, const void *bytes,
                     size_t size, const int *descriptors, int descriptor_count,
                     struct mproc_patience patience)
{
    struct mproc__queue_header *header = queue->header;
    struct mproc__nap nap = mproc__nap_begin(patience);

    if (descriptor_count < 0 || descriptor_count > MPROC_QUEUE_DESCRIPTORS)
        return -EINVAL;
    for (;;) {
        int result = mproc__queue_enter(queue, patience);
        uint32_t ticket;

        if (result < 0) {
            hand_on(&header->not_full, &nap);
            return result;
        }
        result = push_now(queue, sender, bytes, size, descriptors,
                          descriptor_count);
        ticket = mproc_condition_ticket(&header->not_full);
        mproc__queue_leave(queue);
        if (result == 0)
            mproc_condition_notify(&header->not_empty, false);
        else if (result != -EAGAIN)
            hand_on(&header->not_full, &nap);
        if (result != -EAGAIN)
            return result;
        if (is_deserted(sender))
            return -EPIPE;
        result = mproc__queue_nap(&nap, &header->not_full, ticket);
        if (result < 0)
            return result;
    }
}

void mproc_queue_finish(struct mproc_queue *queue)
{
    /* Under the lock: no element may follow one that was the last. Without it
     * when its holder was stopped, and may yet send the element in its hand. */
    int result = mproc__queue_enter(queue, MPROC_QUEUE_ATTEMPT);

    mproc_store_release(&queue->header->finished, 1);
    if (result == 0)
        mproc__queue_leave(queue);
    mproc_queue_stir(queue);
}

void mproc_queue_stir(struct mproc_queue *queue)
{
    mproc_condition_notify(&queue->header->not_empty, true);
    mproc_condition_notify(&queue->header->not_full, true);
}

/* MARK: - Receiving */

static void drop(struct mproc_queue_element *element)
{
    free(element->bytes);
    while (element->descriptor_count > 0)
        mproc_close(element->descriptors[--element->descriptor_count]);
    free(element->descriptors);
    element->bytes = NULL;
    element->descriptors = NULL;
}

/* A copy of the first element: 0; -errno, and whether it is to be left behind
 * nevertheless. */
static int take_out(struct mproc_queue *queue, int receiver,
                    const struct mproc__slot *slot,
                    struct mproc_queue_element *element, bool *is_over)
{
    void *place = mproc__queue_bytes(queue, slot->offset);
    int result;

    *is_over = false;
    element->descriptors = NULL;
    element->descriptor_count = 0;
    element->size = slot->size;
    element->bytes = place == NULL
                         ? NULL
                         : malloc(slot->size == 0 ? 1 : slot->size);
    if (element->bytes == NULL)
        return -ENOMEM;
    result = mproc__queue_take_in_hand(queue);
    if (result < 0) {
        drop(element);
        return result;
    }
    if (slot->message != 0) {
        result = mproc__queue_fetch(receiver, slot->message, element);
        *is_over = result != -ENOMEM && result != -ENOBUFS;
    }
    if (result == 0) {
        memcpy(element->bytes, place, slot->size);
    } else {
        mproc__queue_put_back(queue);
        drop(element);
    }
    return result;
}

/* An empty queue keeps nothing alive: not the descriptors either whose sender
 * died before it had sent their element. */
static void settle(struct mproc__queue_header *header, int receiver)
{
    uint64_t messages = mproc_load_relaxed(&header->messages);

    if (mproc_load_relaxed(&header->settled) == messages)
        return;
    mproc__queue_discard(receiver);
    mproc_store_release(&header->settled, messages);
}

/* 1, 0 at the end, or -EAGAIN; and whether elements were removed that nobody
 * gets. */
static int pop_now(struct mproc_queue *queue, int receiver,
                   struct mproc_queue_element *element, bool *has_lost)
{
    struct mproc__queue_header *header = queue->header;
    struct mproc__slot slot;
    bool is_over;
    uint64_t rounds = 0;
    int result;

    *has_lost = false;
    do {
        uint64_t head = mproc_load_relaxed(&header->head);
        uint64_t tail = mproc_load_relaxed(&header->tail);

        if (head == tail) {
            settle(header, receiver);
            return mproc_load_relaxed(&header->finished) != 0 ? 0 : -EAGAIN;
        }
        if (tail - head > queue->capacity)
            return -EPROTO;
        if (!mproc__queue_slot(queue, head, &slot) ||
            !mproc__queue_is_there(queue, slot.offset, slot.size)) {
            mproc_store_release(&header->head, head + 1);
            *has_lost = true;
            return -EPROTO;
        }
        result = take_out(queue, receiver, &slot, element, &is_over);
        if (result < 0 && !is_over)
            return result;
        mproc_store_release(&header->head, head + 1); /* the pop */
        mproc__queue_trim(queue, head + 1, tail, slot.offset);
        *has_lost = *has_lost || result < 0;
        /* More than there can be: somebody else makes up the numbers. */
    } while (result == -ENODATA && ++rounds <= queue->capacity);
    return result == -ENODATA ? -EPROTO : result < 0 ? result : 1;
}

int mproc_queue_pop(struct mproc_queue *queue, int receiver,
                    struct mproc_queue_element *element,
                    struct mproc_patience patience)
{
    struct mproc__queue_header *header = queue->header;
    struct mproc__nap nap = mproc__nap_begin(patience);
    bool was_deserted = false;

    for (;;) {
        int result = mproc__queue_enter(queue, patience);
        bool has_lost;
        uint32_t ticket;

        if (result < 0) {
            hand_on(&header->not_empty, &nap);
            return result;
        }
        result = pop_now(queue, receiver, element, &has_lost);
        ticket = mproc_condition_ticket(&header->not_empty);
        mproc__queue_leave(queue);
        if (result == 1 || has_lost)
            mproc_condition_notify(&header->not_full, has_lost);
        if (has_lost)
            mproc_condition_notify(&header->less_to_do, true);
        if (result < 0 && result != -EAGAIN)
            hand_on(&header->not_empty, &nap);
        if (result != -EAGAIN)
            return result;
        /* Whoever sent had sent before the last one left: so look once more. */
        if (was_deserted)
            return 0;
        was_deserted = is_deserted(receiver);
        if (was_deserted)
            continue;
        result = mproc__queue_nap(&nap, &header->not_empty, ticket);
        if (result < 0)
            return result;
    }
}

uint64_t mproc_queue_count(const struct mproc_queue *queue)
{
    uint64_t head = mproc_load_relaxed(&queue->header->head);
    uint64_t count = mproc_load_relaxed(&queue->header->tail) - head;

    /* Read one after the other: a pop in between is one less than none. */
    return (int64_t)count < 0          ? 0
           : count > queue->capacity ? queue->capacity
                                     : count;
}
