/*
 * Conditions, semaphores, events and watched values: a word that says what is,
 * and a count of those who sleep on it.
 *
 * Killed right here: each change is one read-modify-write, done or not done;
 * a wake that did not follow costs the sleepers a slice.
 */
#include <errno.h>

#include "mproc_atomic.h"
#include "mproc_base.h"
#include "sync_internal.h"

static uint32_t load(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* MARK: - Conditions */

uint32_t mproc_condition_ticket(const struct mproc_condition *condition)
{
    return load(&condition->sequence);
}

/* Whoever changed what a waiter waits for may have died before it could notify:
 * so a waiter looks again after a slice, and after an eighth of the time that
 * it has waited, half a second at most. */
static uint64_t next_look_ns(uint64_t began_ns)
{
    const uint64_t longest = 500000000, now = mproc_now_ns();
    uint64_t pause = (now - began_ns) / 8;

    if (began_ns > now || pause < MPROC_SYNC_SLICE_NS)
        pause = MPROC_SYNC_SLICE_NS;
    return now + (pause < longest ? pause : longest);
}

int mproc_condition_wait(struct mproc_condition *condition, uint32_t ticket,
                         uint64_t began_ns, struct mproc_patience patience)
{
    struct mproc__nap nap = mproc__nap_begin(patience);
    uint64_t look_ns = next_look_ns(began_ns);

    nap.slice_ns = MPROC_SYNC_SLICE_NS;
    while (load(&condition->sequence) == ticket) {
        int result = mproc__nap(&nap, &condition->sequence, ticket,
                                &condition->sleepers);
        if (result < 0)
            return result;
        if (mproc_now_ns() >= look_ns)
            break;
    }
    return 0;
}

static void notify(uint32_t *sequence, const uint32_t *sleepers, bool all)
{
    __atomic_fetch_add(sequence, 1, __ATOMIC_RELEASE);
    mproc__wake_sleepers(sequence, sleepers, all ? UINT32_MAX : 1);
}

void mproc_condition_notify(struct mproc_condition *condition, bool all)
{
    notify(&condition->sequence, &condition->sleepers, all);
}

/* MARK: - Semaphores */

bool mproc_shared_semaphore_try(struct mproc_semaphore *semaphore)
{
    uint32_t value = load(&semaphore->value);

    while (value != 0)
        if (__atomic_compare_exchange_n(&semaphore->value, &value, value - 1,
                                        false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_ACQUIRE))
            return true;
    return false;
}

int mproc_shared_semaphore_wait(struct mproc_semaphore *semaphore,
                                struct mproc_patience patience)
{
    struct mproc__nap nap = mproc__nap_begin(patience);

    for (int i = 0; i < MPROC__SPINS; i++) {
        if (mproc_shared_semaphore_try(semaphore))
            return 0;
        mproc_pause();
    }
    for (;;) {
        int result = mproc__nap(&nap, &semaphore->value, 0,
                                &semaphore->sleepers);

        /* Also at the end of the patience: a permit may be there by now, of
         * which this one was told and nobody else. */
        if (mproc_shared_semaphore_try(semaphore))
            return 0;
        if (result < 0)
            return result;
    }
}

int mproc_shared_semaphore_signal(struct mproc_semaphore *semaphore,
                                  uint32_t count)
{
    uint32_t value = load(&semaphore->value);

    if (count == 0)
        return 0;
    do {
        if (value > MPROC_SEMAPHORE_MAX || count > MPROC_SEMAPHORE_MAX - value)
            return -EOVERFLOW;
    } while (!__atomic_compare_exchange_n(&semaphore->value, &value,
                                          value + count, false,
                                          __ATOMIC_RELEASE, __ATOMIC_RELAXED));
    mproc__wake_sleepers(&semaphore->value, &semaphore->sleepers, count);
    return 0;
}

/* MARK: - Events */

bool mproc_event_is_set(const struct mproc_event *event)
{
    return load(&event->is_set) != 0;
}

void mproc_event_set(struct mproc_event *event)
{
    if (__atomic_exchange_n(&event->is_set, 1, __ATOMIC_RELEASE) == 0)
        mproc__wake_sleepers(&event->is_set, &event->sleepers, UINT32_MAX);
}

void mproc_event_clear(struct mproc_event *event)
{
    __atomic_store_n(&event->is_set, 0, __ATOMIC_RELEASE);
}

int mproc_event_wait(struct mproc_event *event, struct mproc_patience patience)
{
    struct mproc__nap nap = mproc__nap_begin(patience);

    for (int i = 0; i < MPROC__SPINS; i++) {
        if (mproc_event_is_set(event))
            return 0;
        mproc_pause();
    }
    while (!mproc_event_is_set(event)) {
        int result = mproc__nap(&nap, &event->is_set, 0, &event->sleepers);
        if (result < 0 && !mproc_event_is_set(event))
            return result;
    }
    return 0;
}

/* MARK: - Watched values */

int mproc_watched_wait(struct mproc_watched *watched, uint64_t value,
                       struct mproc_patience patience)
{
    struct mproc__nap nap = mproc__nap_begin(patience);

    for (;;) {
        uint32_t sequence = load(&watched->sequence);
        int result;

        if (__atomic_load_n(&watched->value, __ATOMIC_SEQ_CST) != value)
            return 0;
        result = mproc__nap(&nap, &watched->sequence, sequence,
                            &watched->sleepers);
        if (result < 0)
            return result;
    }
}

void mproc_watched_notify(struct mproc_watched *watched, bool all)
{
    notify(&watched->sequence, &watched->sleepers, all);
}
