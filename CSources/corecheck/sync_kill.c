/*
 * What is left of locks, semaphores, conditions, events, watched values and
 * barriers when a participant is killed at any instruction, or writes nonsense.
 */
#include "step.h"
#include "sync_check.h"

static void change_under_the_lock(void *context)
{
    struct shared *shared = context;

    REQUIRE(mproc_lock_acquire(&shared->lock, PATIENT) >= 0);
    shared->first++;
    shared->second++;
    REQUIRE(mproc_lock_release(&shared->lock) == 0);
}

static void require_usable_lock(struct shared *shared)
{
    int result = mproc_lock_acquire(&shared->lock, within_ms(1000));

    REQUIRE(result >= 0);
    REQUIRE(result == 1 || shared->first == shared->second);
    shared->second = shared->first;
    REQUIRE(mproc_lock_release(&shared->lock) == 0);
    REQUIRE(mproc_lock_try(&shared->lock) == 0);
    REQUIRE(mproc_lock_release(&shared->lock) == 0);
}

static void wait_for_a_lock_in_vain(void *context)
{
    struct shared *shared = context;

    mproc_lock_acquire(&shared->lock, within_ms(4));
}

static void require_lock_of_ours(struct shared *shared)
{
    REQUIRE(mproc_lock_release(&shared->lock) == 0);
    require_usable_lock(shared);
    REQUIRE(mproc_lock_try(&shared->lock) == 0);
}

static void take_a_permit_and_give_it_back(void *context)
{
    struct shared *shared = context;

    REQUIRE(mproc_shared_semaphore_wait(&shared->semaphore, PATIENT) == 0);
    REQUIRE(mproc_shared_semaphore_signal(&shared->semaphore, 1) == 0);
}

static void require_one_permit_at_most(struct shared *shared)
{
    REQUIRE(shared->semaphore.value <= 1);
    shared->semaphore.value = 0;
    REQUIRE(mproc_shared_semaphore_signal(&shared->semaphore, 1) == 0);
    REQUIRE(mproc_shared_semaphore_wait(&shared->semaphore,
                                        within_ms(1000)) == 0);
    REQUIRE(mproc_shared_semaphore_signal(&shared->semaphore, 1) == 0);
}

/* With sleepers, so that the wakes are stepped too. */
static void tell_everybody(void *context)
{
    struct shared *shared = context;

    mproc_event_set(&shared->event);
    mproc_condition_notify(&shared->condition, true);
    mproc_watched_notify(&shared->watched, false);
    mproc_event_clear(&shared->event);
}

static void require_signals(struct shared *shared)
{
    uint32_t ticket = mproc_condition_ticket(&shared->condition);

    mproc_event_set(&shared->event);
    REQUIRE(mproc_event_wait(&shared->event, within_ms(1000)) == 0);
    mproc_event_clear(&shared->event);
    mproc_condition_notify(&shared->condition, true);
    REQUIRE(mproc_condition_wait(&shared->condition, ticket, mproc_now_ns(),
                                 within_ms(1000)) == 0);
    /* As if somebody slept. */
    shared->event.sleepers = shared->condition.sleepers = 1;
    shared->watched.sleepers = 1;
}

static void arrive_for_a_moment(void *context)
{
    struct shared *shared = context;

    mproc_barrier_wait(&shared->barrier, 2, within_ms(3));
    mproc_barrier_reset(&shared->barrier, 2);
    mproc_barrier_wait(&shared->barrier, 1, PATIENT);
    mproc_barrier_abort(&shared->barrier);
    mproc_barrier_reset(&shared->barrier, 2);
}

static void require_usable_barrier(struct shared *shared)
{
    int result = mproc_barrier_wait(&shared->barrier, 2, within_ms(30));

    /* Alone, broken by the one that died, or the second of two. */
    REQUIRE(result == -ETIMEDOUT || result == -EPIPE || result == 1);
    mproc_barrier_reset(&shared->barrier, 2);
    REQUIRE(mproc_barrier_wait(&shared->barrier, 1, PATIENT) == 0);
    mproc_barrier_reset(&shared->barrier, 2);
}

static void go_on(void *context)
{
    (void)context;
}

/* What a process looks up once, before its first step. */
static void know_oneself(void *context)
{
    struct shared *shared = context;

    mproc_lock_is_mine(&shared->lock);
}

/* Kills a child behind its first instruction, its second, and so on. */
static long sweep(struct shared *shared, void (*body)(void *),
                  void (*judge)(struct shared *), long stride)
{
    struct step_plan plan = {.body = body, .at_step = go_on, .context = shared,
                             .stride = 1, .prepare = know_oneself};
    long steps = 0;

    while (steps += stride, step_and_kill(step_way_here(), &plan, steps))
        judge(shared);
    return steps / stride;
}

static void killed_at_every_instruction(void)
{
    const long stride = whole_sweep ? 1 : 3;
    struct shared *shared = make_shared();
    long kills = sweep(shared, change_under_the_lock, require_usable_lock,
                       stride);

    REQUIRE(mproc_lock_try(&shared->lock) == 0);
    kills += sweep(shared, wait_for_a_lock_in_vain, require_lock_of_ours,
                   4 * stride);
    shared->semaphore.value = 1;
    kills += sweep(shared, take_a_permit_and_give_it_back,
                   require_one_permit_at_most, stride);
    shared->event.sleepers = shared->condition.sleepers = 1;
    kills += sweep(shared, tell_everybody, require_signals, stride);
    printf("       %ld kills, stride %ld\n", kills, stride);
}

static void barrier_killed_at_every_instruction(void)
{
    const long stride = whole_sweep ? 3 : 41;
    struct shared *shared = make_shared();

    printf("       %ld kills, stride %ld\n",
           sweep(shared, arrive_for_a_moment, require_usable_barrier, stride),
           stride);
}

/* MARK: - Nonsense */

static void nonsense_ends_no_wait(void)
{
    struct shared *shared = make_shared();
    uint64_t random = 41, begin;
    const long rounds = UNDER_SANITIZER ? 100 : 1000;

    for (long i = 0; i < rounds; i++) {
        uint64_t *words = (uint64_t *)shared;
        size_t count = sizeof *shared / sizeof *words;

        for (size_t k = 0; k < count; k++)
            words[k] = next_random(&random) >> (next_random(&random) % 64);
        begin = mproc_now_ns();
        if (mproc_lock_acquire(&shared->lock, within_ms(100)) >= 0)
            mproc_lock_release(&shared->lock);
        mproc_shared_semaphore_wait(&shared->semaphore, within_ms(1));
        mproc_shared_semaphore_signal(&shared->semaphore, 1);
        mproc_event_wait(&shared->event, within_ms(1));
        mproc_condition_notify(&shared->condition, true);
        mproc_barrier_wait(&shared->barrier, PARTIES, within_ms(1));
        mproc_barrier_reset(&shared->barrier, PARTIES);
        mproc_watched_wait(&shared->watched, shared->watched.value,
                           within_ms(1));
        REQUIRE(mproc_now_ns() - begin < 1000000000);
    }
}

const struct check sync_kill_checks[] = {
    {"sweep: a participant killed anywhere costs its own part",
     killed_at_every_instruction, UNDER_SANITIZER},
    {"sweep: a barrier survives its parties",
     barrier_killed_at_every_instruction, UNDER_SANITIZER},
    {"nonsense in shared words ends no wait", nonsense_ends_no_wait, false},
    {NULL, NULL, false},
};
