/*
 * Holders that are stopped, and so never give back what they hold: who has a
 * limit keeps to it, and what has none ends within a second all the same.
 */
#include "queue_check.h"

#include <sys/mman.h>

#include "../CMultiprocessing/queue/queue_internal.h"

static pid_t hold(struct mproc_lock *lock)
{
    pid_t pid = fork();

    REQUIRE(pid >= 0);
    if (pid == 0) {
        REQUIRE(mproc_lock_acquire(lock, PATIENT) == 0);
        kill(getpid(), SIGSTOP);
        _exit(0);
    }
    int status;
    REQUIRE(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    return pid;
}

static void let_go(pid_t pid)
{
    int status;

    REQUIRE(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
}

static uint64_t passed_ms(uint64_t since_ns)
{
    return (mproc_now_ns() - since_ns) / 1000000;
}

static void barriers_keep_to_limits(void)
{
    struct mproc_barrier *barrier =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
             0);
    uint64_t start;
    pid_t pid;

    REQUIRE(barrier != MAP_FAILED);
    mproc_barrier_init(barrier, 2);
    pid = hold(&barrier->lock);
    start = mproc_now_ns();
    REQUIRE(mproc_barrier_wait(barrier, 2, within_ms(50)) == -ETIMEDOUT);
    REQUIRE(passed_ms(start) < 500);
    mproc_barrier_abort(barrier);
    REQUIRE(passed_ms(start) < 1500);
    let_go(pid);
    REQUIRE(mproc_barrier_wait(barrier, 2, PATIENT) == -EPIPE);
    mproc_barrier_reset(barrier, 2);
    REQUIRE(mproc_barrier_wait(barrier, 2, within_ms(50)) == -ETIMEDOUT);
    munmap(barrier, 4096);
}

static void queues_keep_to_limits(void)
{
    struct open_queue open = open_queue(2);
    uint64_t number, start;
    pid_t pid;

    REQUIRE(send_numbered(&open, 1, 8, AT_ONCE) == 0);
    pid = hold(&open.queue->header->lock);
    start = mproc_now_ns();
    REQUIRE(send_numbered(&open, 2, 8, AT_ONCE) == -ETIMEDOUT);
    REQUIRE(receive_numbered(&open, &number, AT_ONCE) == -ETIMEDOUT);
    REQUIRE(passed_ms(start) < 400);
    REQUIRE(receive_numbered(&open, &number, MPROC_QUEUE_ATTEMPT) ==
            -ETIMEDOUT);
    mproc_queue_finish(open.queue);
    REQUIRE(passed_ms(start) < 2500);
    let_go(pid);
    REQUIRE(receive_numbered(&open, &number, PATIENT) == 1 && number == 1);
    REQUIRE(receive_numbered(&open, &number, PATIENT) == 0);
    close_queue(&open);
}

const struct check stopped_checks[] = {
    {"a stopped process in a barrier holds up no limit",
     barriers_keep_to_limits, false},
    {"a stopped process in a queue holds up no limit", queues_keep_to_limits,
     false},
    {NULL, NULL, false},
};
