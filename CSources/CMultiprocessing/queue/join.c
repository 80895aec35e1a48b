/*
 * Who has received elements and not marked them as done. An entry of one's own
 * is written by oneself, or by who marks an element of another process as done,
 * both under the lock; an entry of the dead counts for nothing.
 *
 * Killed right here: an element is in hand before it is removed, so one that
 * is killed in between is dead with something in hand that the next one gets.
 */
#include <errno.h>

#include "mproc_atomic.h"
#include "queue_internal.h"

static bool is_own(const struct mproc_queue *queue, uint64_t place)
{
    return mproc_load_relaxed(&queue->consumers[place].owner) ==
           mproc__self();
}

static uint64_t entries(const struct mproc_queue *queue)
{
    uint64_t count = mproc_load_acquire(&queue->header->consumers);

    return count < MPROC_QUEUE_CONSUMERS ? count : MPROC_QUEUE_CONSUMERS;
}

static int find_own(struct mproc_queue *queue)
{
    uint64_t place = mproc_load_relaxed(&queue->place);
    const uint64_t count = entries(queue);

    if (place < count && is_own(queue, place))
        return (int)place;
    for (uint64_t i = 0; i < count; i++)
        if (is_own(queue, i))
            return (int)i;
    return -ECHILD;
}

/* An entry that nothing is in, that of a dead process, or a new one. */
static int find_free(const struct mproc_queue *queue)
{
    const uint64_t count = entries(queue);

    for (uint64_t i = 0; i < count; i++)
        if (mproc_load_relaxed(&queue->consumers[i].in_hand) == 0)
            return (int)i;
    for (uint64_t i = 0; i < count; i++)
        if (mproc__is_dead(mproc_load_relaxed(&queue->consumers[i].owner)))
            return (int)i;
    return count < MPROC_QUEUE_CONSUMERS ? (int)count : -EUSERS;
}

static int make_own(struct mproc_queue *queue)
{
    int place = find_free(queue);

    if (place < 0)
        return place;
    mproc_store_release(&queue->consumers[place].in_hand, 0);
    mproc_store_release(&queue->consumers[place].owner, mproc__self());
    if ((uint64_t)place >= entries(queue))
        mproc_store_release(&queue->header->consumers, (uint64_t)place + 1);
    return place;
}

static void take_one_off(struct mproc__consumer *consumer)
{
    mproc_store_release(&consumer->in_hand,
                        mproc_load_relaxed(&consumer->in_hand) - 1);
}

int mproc__queue_take_in_hand(struct mproc_queue *queue)
{
    int place = find_own(queue);
    uint64_t *in_hand;

    if (place < 0)
        place = make_own(queue);
    if (place < 0)
        return place;
    mproc_store_relaxed(&queue->place, (uint64_t)place);
    in_hand = &queue->consumers[place].in_hand;
    /* Before the store of head, with release order, which join reads first. */
    mproc_store_release(in_hand, mproc_load_relaxed(in_hand) + 1);
    return 0;
}

void mproc__queue_put_back(struct mproc_queue *queue)
{
    int place = find_own(queue);

    if (place >= 0)
        take_one_off(&queue->consumers[place]);
}

static bool holds_something(const struct mproc__consumer *consumer)
{
    return mproc_load_acquire(&consumer->in_hand) != 0 &&
           !mproc__is_dead(mproc_load_acquire(&consumer->owner));
}

int mproc_queue_mark_done(struct mproc_queue *queue)
{
    int result = mproc__queue_enter(queue,
                                    (struct mproc_patience){UINT64_MAX, NULL});
    int place;

    if (result < 0)
        return result;
    place = find_own(queue);
    if (place >= 0 && mproc_load_relaxed(&queue->consumers[place].in_hand) == 0)
        place = -ECHILD;
    for (uint64_t i = 0; place < 0 && i < entries(queue); i++)
        if (holds_something(&queue->consumers[i]))
            place = (int)i;
    if (place >= 0)
        take_one_off(&queue->consumers[place]);
    mproc__queue_leave(queue);
    mproc_condition_notify(&queue->header->less_to_do, true);
    return place < 0 ? -ECHILD : 0;
}

/* All that were sent before it looked are done. */
static bool is_all_done(const struct mproc_queue *queue)
{
    const struct mproc__queue_header *header = queue->header;
    uint64_t tail = mproc_load_acquire(&header->tail);

    if ((int64_t)(mproc_load_acquire(&header->head) - tail) < 0)
        return false;
    for (uint64_t i = 0; i < entries(queue); i++)
        if (holds_something(&queue->consumers[i]))
            return false;
    return true;
}

int mproc_queue_join(struct mproc_queue *queue, struct mproc_patience patience)
{
    struct mproc_condition *condition = &queue->header->less_to_do;
    struct mproc__nap nap = mproc__nap_begin(patience);

    for (;;) {
        uint32_t ticket = mproc_condition_ticket(condition);
        int result;

        if (is_all_done(queue))
            return 0;
        result = mproc__queue_nap(&nap, condition, ticket);
        if (result < 0)
            return result;
    }
}
