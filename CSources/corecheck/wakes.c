/*
 * Wakes that would be lost and rounds that would be misjudged, in orders of
 * steps that chance does not bring: signals.pml, barrier.pml and queue.pml in
 * Tests/Models found them.
 */
#include "queue_check.h"

#include <sys/mman.h>

#include "../CMultiprocessing/queue/queue_internal.h"

struct shared {
    struct mproc_condition condition;
    uint32_t cancelled;
    int result;
    union {
        struct mproc_barrier barrier;
        char bytes[sizeof(struct mproc_barrier) + 16 * 2];
    };
};

static struct shared *shared;
static struct open_queue queue;

static pid_t in_child(void (*body)(void))
{
    pid_t pid = fork();

    REQUIRE(pid >= 0);
    if (pid == 0) {
        body();
        _exit(0);
    }
    return pid;
}

static void require_ended_well(pid_t pid)
{
    int status;

    REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
}

static void make_shared(void)
{
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(shared != MAP_FAILED);
    mproc_barrier_init(&shared->barrier, 2);
}

static uint32_t load(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* MARK: - Conditions */

static int wait_since(uint64_t began_ns, uint32_t ticket,
                      struct mproc_patience patience)
{
    return mproc_condition_wait(&shared->condition, ticket, began_ns, patience);
}

/* Who has changed what they wait for may be killed before it notifies. */
static void waiters_look_without_a_notification(void)
{
    const uint64_t now = mproc_now_ns();
    uint32_t ticket;

    make_shared();
    ticket = mproc_condition_ticket(&shared->condition);
    REQUIRE(wait_since(now, ticket, within_ms(10000)) == 0);
    /* Who has waited for ten minutes does so too. */
    REQUIRE(wait_since(now - 600 * UINT64_C(1000000000), ticket,
                       within_ms(10000)) == 0);
    REQUIRE(wait_since(now, ticket, AT_ONCE) == -ETIMEDOUT);
    mproc_condition_notify(&shared->condition, true);
    REQUIRE(wait_since(now, ticket, AT_ONCE) == 0);
}

/* MARK: - Barriers */

static void arrive_first(void)
{
    shared->result = mproc_barrier_wait(&shared->barrier, 2, PATIENT);
}

/* One that comes late to the news of its round. */
static void a_completed_round_stays_completed(void)
{
    pid_t pid;
    int status;

    make_shared();
    pid = in_child(arrive_first);
    while (load(&shared->barrier.arrived) == 0)
        usleep(100);
    REQUIRE(kill(pid, SIGSTOP) == 0);
    REQUIRE(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    REQUIRE(mproc_barrier_wait(&shared->barrier, 2, PATIENT) == 1);
    mproc_barrier_abort(&shared->barrier);
    shared->result = -1;
    REQUIRE(kill(pid, SIGCONT) == 0);
    require_ended_well(pid);
    REQUIRE(shared->result == 0);
    REQUIRE(mproc_barrier_wait(&shared->barrier, 2, PATIENT) == -EPIPE);
}

/* MARK: - Queues */

static struct mproc_patience until_cancelled(void)
{
    return (struct mproc_patience){UINT64_MAX, &shared->cancelled};
}

static void receive_in_vain(void)
{
    uint64_t number;

    REQUIRE(receive_numbered(&queue, &number, until_cancelled()) ==
            -ECANCELED);
}

static void send_in_vain(void)
{
    REQUIRE(send_numbered(&queue, 2, 8, until_cancelled()) == -ECANCELED);
}

/* Wakes one that then cannot have the lock, until it gives up. */
static void require_handed_on(void (*body)(void),
                              struct mproc_condition *condition)
{
    struct mproc_lock *lock = &queue.queue->header->lock;
    uint32_t before;
    pid_t pid = in_child(body);

    while (load(&condition->sleepers) == 0)
        usleep(100);
    while (mproc_lock_try(lock) != 0) /* without having waited for it */
        usleep(100);
    before = mproc_condition_ticket(condition);
    mproc_condition_notify(condition, false);
    while ((__atomic_load_n(&lock->owner, __ATOMIC_ACQUIRE) &
            MPROC__WAITERS) == 0)
        usleep(100);
    __atomic_store_n(&shared->cancelled, 1, __ATOMIC_RELEASE);
    require_ended_well(pid);
    REQUIRE(mproc_condition_ticket(condition) == before + 2);
    REQUIRE(mproc_lock_release(lock) == 0);
    shared->cancelled = 0;
}

static void who_gives_up_hands_on_its_wake(void)
{
    make_shared();
    queue = open_queue(1);
    require_handed_on(receive_in_vain, &queue.queue->header->not_empty);
    REQUIRE(send_numbered(&queue, 1, 8, PATIENT) == 0);
    require_handed_on(send_in_vain, &queue.queue->header->not_full);
    close_queue(&queue);
}

/* There is room again, and less to do. */
static void a_lost_element_is_news(void)
{
    struct mproc__queue_header *header;
    uint32_t room, work;
    uint64_t number;

    queue = open_queue(1);
    header = queue.queue->header;
    REQUIRE(send_numbered(&queue, 1, 8, PATIENT) == 0);
    room = mproc_condition_ticket(&header->not_full);
    work = mproc_condition_ticket(&header->less_to_do);
    queue.queue->slots[0].offset = 0;
    REQUIRE(receive_numbered(&queue, &number, PATIENT) == -EPROTO);
    REQUIRE(mproc_condition_ticket(&header->not_full) != room);
    REQUIRE(mproc_condition_ticket(&header->less_to_do) != work);
    REQUIRE(mproc_queue_join(queue.queue, AT_ONCE) == 0);
    close_queue(&queue);
}

const struct check wakes_checks[] = {
    {"waiters look without a notification",
     waiters_look_without_a_notification, false},
    {"a completed round stays completed", a_completed_round_stays_completed,
     false},
    {"who gives up hands on its wake", who_gives_up_hands_on_its_wake, false},
    {"a lost element is news", a_lost_element_is_news, false},
    {NULL, NULL, false},
};
