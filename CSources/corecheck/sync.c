/*
 * Locks, semaphores, conditions, events, watched values and barriers between
 * processes: what they promise.
 */
#include "sync_check.h"

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
                                         mproc_now_ns(), PATIENT) == 0);
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
    {NULL, NULL, false},
};
