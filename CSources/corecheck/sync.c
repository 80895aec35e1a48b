/*
 * Locks, semaphores, conditions, events, watched values and barriers between
 * processes: what they promise, and what is left of them when a participant is
 * killed at any instruction or writes nonsense.
 */
#include "check.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mproc_base.h"
#include "mproc_sync.h"
#include "step.h"

#define PATIENT ((struct mproc_patience){UINT64_MAX, NULL})
#define PARTIES 3

/* In memory that all processes of a check share. */
struct shared {
    struct mproc_lock lock;
    struct mproc_condition condition;
    struct mproc_semaphore semaphore;
    struct mproc_event event;
    struct mproc_watched watched;
    uint64_t first, second; /* equal, unless who changed them died */
    uint64_t rounds[PARTIES];
    uint32_t results[PARTIES];
    union {
        struct mproc_barrier barrier;
        char bytes[sizeof(struct mproc_barrier) + 16 * PARTIES];
    };
};

static struct shared *make_shared(void)
{
    void *base = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    REQUIRE(base != MAP_FAILED);
    mproc_barrier_init(&((struct shared *)base)->barrier, PARTIES);
    return base;
}

static struct mproc_patience within_ms(uint64_t time)
{
    return (struct mproc_patience){mproc_now_ns() + time * 1000000, NULL};
}

static pid_t in_child(void (*body)(struct shared *), struct shared *shared)
{
    pid_t pid = fork();

    REQUIRE(pid >= 0);
    if (pid == 0) {
        body(shared);
        _exit(0);
    }
    return pid;
}

static void require_ended_well(pid_t pid)
{
    int status;

    REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
}

static void kill_and_reap(pid_t pid)
{
    REQUIRE(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
}

/* MARK: - Promises */

static void count_under_the_lock(struct shared *shared)
{
    for (int i = 0; i < 20000; i++) {
        REQUIRE(mproc_lock_acquire(&shared->lock, PATIENT) == 0);
        shared->first++;
        shared->second++;
        REQUIRE(mproc_lock_release(&shared->lock) == 0);
    }
}

static void lock_excludes(void)
{
    struct shared *shared = make_shared();
    pid_t pids[4];

    for (int i = 0; i < 4; i++)
        pids[i] = in_child(count_under_the_lock, shared);
    for (int i = 0; i < 4; i++)
        require_ended_well(pids[i]);
    REQUIRE(shared->first == 80000 && shared->second == 80000);
    REQUIRE(mproc_lock_release(&shared->lock) == -EPERM);
    REQUIRE(mproc_lock_try(&shared->lock) == 0);
    REQUIRE(mproc_lock_is_mine(&shared->lock));
    REQUIRE(mproc_lock_acquire(&shared->lock, within_ms(5)) == -ETIMEDOUT);
    uint32_t cancelled = 1;
    REQUIRE(mproc_lock_acquire(&shared->lock,
                               (struct mproc_patience){UINT64_MAX,
                                                       &cancelled}) ==
            -ECANCELED);
}

static void hold_for_ever(struct shared *shared)
{
    REQUIRE(mproc_lock_acquire(&shared->lock, PATIENT) >= 0);
    mproc_event_set(&shared->event);
    pause();
}

static void a_dead_holder_is_noticed(void)
{
    struct shared *shared = make_shared();

    for (int i = 0; i < 50; i++) {
        pid_t pid = in_child(hold_for_ever, shared);
        uint64_t killed;

        REQUIRE(mproc_event_wait(&shared->event, PATIENT) == 0);
        mproc_event_clear(&shared->event);
        REQUIRE(mproc_lock_try(&shared->lock) == -EBUSY);
        /* Unreaped: a zombie holds nothing. */
        REQUIRE(kill(pid, SIGKILL) == 0);
        killed = mproc_now_ns();
        REQUIRE(mproc_lock_acquire(&shared->lock, within_ms(5000)) == 1);
        REQUIRE(mproc_now_ns() - killed < 1000000000);
        REQUIRE(mproc_lock_release(&shared->lock) == 0);
        REQUIRE(mproc_lock_try(&shared->lock) == 0);
        REQUIRE(mproc_lock_release(&shared->lock) == 0);
        REQUIRE(waitpid(pid, NULL, 0) == pid);
    }
}

static void take_again_and_again(struct shared *shared)
{
    for (;;) {
        REQUIRE(mproc_lock_acquire(&shared->lock, PATIENT) >= 0);
        shared->first++;
        REQUIRE(mproc_lock_release(&shared->lock) == 0);
    }
}

static void a_waiter_gets_its_turn(void)
{
    struct shared *shared = make_shared();
    pid_t greedy[2];

    for (int i = 0; i < 2; i++)
        greedy[i] = in_child(take_again_and_again, shared);
    for (int i = 0; i < 50; i++) {
        REQUIRE(mproc_lock_acquire(&shared->lock, within_ms(2000)) == 0);
        REQUIRE(mproc_lock_release(&shared->lock) == 0);
    }
    for (int i = 0; i < 2; i++)
        kill_and_reap(greedy[i]);
}

static void take_permits(struct shared *shared)
{
    for (int i = 0; i < 5000; i++)
        REQUIRE(mproc_shared_semaphore_wait(&shared->semaphore, PATIENT) == 0);
}

static void wait_for_a_while(struct shared *shared)
{
    REQUIRE(mproc_lock_acquire(&shared->lock, within_ms(60)) == -ETIMEDOUT);
}

/* The lock is kept for one that has given up meanwhile: nobody's, so whoever
 * asks gets it. */
static void a_kept_lock_is_free(void)
{
    struct shared *shared = make_shared();

    REQUIRE(mproc_lock_acquire(&shared->lock, PATIENT) == 0);
    require_ended_well(in_child(wait_for_a_while, shared));
    REQUIRE(mproc_lock_release(&shared->lock) == 0);
    REQUIRE(shared->lock.owner != 0);
    REQUIRE(mproc_lock_try(&shared->lock) == 0);
    REQUIRE(mproc_lock_release(&shared->lock) == 0);
    REQUIRE(mproc_lock_acquire(&shared->lock, within_ms(1000)) == 0);
    REQUIRE(mproc_lock_release(&shared->lock) == 0);
}

static void semaphores_count(void)
{
    struct shared *shared = make_shared();
    pid_t pids[3];

    REQUIRE(mproc_shared_semaphore_wait(&shared->semaphore, within_ms(3)) ==
            -ETIMEDOUT);
    REQUIRE(!mproc_shared_semaphore_try(&shared->semaphore));
    REQUIRE(mproc_shared_semaphore_signal(&shared->semaphore,
                                          MPROC_SEMAPHORE_MAX) == 0);
    REQUIRE(mproc_shared_semaphore_signal(&shared->semaphore, 1) ==
            -EOVERFLOW);
    shared->semaphore.value = 0;
    for (int i = 0; i < 3; i++)
        pids[i] = in_child(take_permits, shared);
    for (int i = 0; i < 5000; i++)
        REQUIRE(mproc_shared_semaphore_signal(&shared->semaphore, 3) == 0);
    for (int i = 0; i < 3; i++)
        require_ended_well(pids[i]);
    REQUIRE(shared->semaphore.value == 0 && shared->semaphore.sleepers == 0);
}

static void wait_for_the_signal(struct shared *shared)
{
    for (uint64_t round = 1; round <= 300; round++) {
        uint32_t ticket;

        REQUIRE(mproc_lock_acquire(&shared->lock, PATIENT) == 0);
        while (shared->first < round) {
            ticket = mproc_condition_ticket(&shared->condition);
            REQUIRE(mproc_lock_release(&shared->lock) == 0);
            REQUIRE(mproc_condition_wait(&shared->condition, ticket,
                                         PATIENT) == 0);
            REQUIRE(mproc_lock_acquire(&shared->lock, PATIENT) == 0);
        }
        shared->second++;
        REQUIRE(mproc_lock_release(&shared->lock) == 0);
        REQUIRE(mproc_watched_wait(&shared->watched, round - 1, PATIENT) == 0);
    }
}

static void conditions_and_watched_values_wake(void)
{
    struct shared *shared = make_shared();
    pid_t pids[2];

    for (int i = 0; i < 2; i++)
        pids[i] = in_child(wait_for_the_signal, shared);
    for (uint64_t round = 1; round <= 300; round++) {
        REQUIRE(mproc_lock_acquire(&shared->lock, PATIENT) == 0);
        shared->first = round;
        REQUIRE(mproc_lock_release(&shared->lock) == 0);
        mproc_condition_notify(&shared->condition, true);
        while (__atomic_load_n(&shared->second, __ATOMIC_ACQUIRE) < 2 * round)
            usleep(20);
        __atomic_store_n(&shared->watched.value, round, __ATOMIC_SEQ_CST);
        mproc_watched_notify(&shared->watched, true);
    }
    for (int i = 0; i < 2; i++)
        require_ended_well(pids[i]);
}

static void meet_at_the_barrier(struct shared *shared)
{
    for (uint32_t round = 1; round <= 500; round++) {
        int index = mproc_barrier_wait(&shared->barrier, PARTIES, PATIENT);

        REQUIRE(index >= 0 && index < PARTIES);
        /* Each index once a round. */
        REQUIRE(__atomic_add_fetch(&shared->rounds[index], 1,
                                   __ATOMIC_RELAXED) == round);
        REQUIRE(mproc_barrier_wait(&shared->barrier, PARTIES, PATIENT) >= 0);
    }
}

static void barriers_keep_step(void)
{
    struct shared *shared = make_shared();
    pid_t pids[PARTIES];

    for (int i = 0; i < PARTIES; i++)
        pids[i] = in_child(meet_at_the_barrier, shared);
    for (int i = 0; i < PARTIES; i++)
        require_ended_well(pids[i]);
    mproc_barrier_reset(&shared->barrier, PARTIES);
    REQUIRE(mproc_barrier_wait(&shared->barrier, PARTIES, within_ms(5)) ==
            -ETIMEDOUT);
    REQUIRE(mproc_barrier_wait(&shared->barrier, PARTIES, PATIENT) == -EPIPE);
    mproc_barrier_reset(&shared->barrier, PARTIES);
    REQUIRE(mproc_barrier_wait(&shared->barrier, 1, PATIENT) == 0);
    mproc_barrier_abort(&shared->barrier);
    REQUIRE(mproc_barrier_wait(&shared->barrier, 1, PATIENT) == -EPIPE);
}

static void arrive_alone(struct shared *shared)
{
    mproc_barrier_wait(&shared->barrier, PARTIES, PATIENT);
}

static void a_dead_party_breaks_its_barrier(void)
{
    struct shared *shared = make_shared();
    pid_t pid = in_child(arrive_alone, shared);

    while (__atomic_load_n(&shared->barrier.arrived, __ATOMIC_ACQUIRE) == 0)
        usleep(100);
    REQUIRE(kill(pid, SIGKILL) == 0);
    REQUIRE(mproc_barrier_wait(&shared->barrier, PARTIES, within_ms(5000)) ==
            -EPIPE);
    REQUIRE(waitpid(pid, NULL, 0) == pid);
}

/* MARK: - Killed anywhere */

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
    REQUIRE(mproc_condition_wait(&shared->condition, ticket,
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

const struct check sync_checks[] = {
    {"a lock excludes", lock_excludes, false},
    {"a lock whose holder died is taken over", a_dead_holder_is_noticed,
     false},
    {"who waits for a lock gets its turn", a_waiter_gets_its_turn, false},
    {"a lock kept for who has given up is free", a_kept_lock_is_free, false},
    {"semaphores count", semaphores_count, false},
    {"conditions and watched values wake", conditions_and_watched_values_wake,
     false},
    {"barriers keep step", barriers_keep_step, false},
    {"a dead party breaks its barrier", a_dead_party_breaks_its_barrier,
     false},
    {"sweep: a participant killed anywhere costs its own part",
     killed_at_every_instruction, UNDER_SANITIZER},
    {"sweep: a barrier survives its parties",
     barrier_killed_at_every_instruction, UNDER_SANITIZER},
    {"nonsense in shared words ends no wait", nonsense_ends_no_wait, false},
    {NULL, NULL, false},
};
