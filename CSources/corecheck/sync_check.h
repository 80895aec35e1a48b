/* What the checks of sync.c and sync_kill.c share. */
#ifndef SYNC_CHECK_H
#define SYNC_CHECK_H

#include "check.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mproc_base.h"
#include "mproc_sync.h"

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

static inline struct shared *make_shared(void)
{
    void *base = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    REQUIRE(base != MAP_FAILED);
    mproc_barrier_init(&((struct shared *)base)->barrier, PARTIES);
    return base;
}

static inline struct mproc_patience within_ms(uint64_t time)
{
    return (struct mproc_patience){mproc_now_ns() + time * 1000000, NULL};
}

static inline pid_t in_child(void (*body)(struct shared *),
                             struct shared *shared)
{
    pid_t pid = fork();

    REQUIRE(pid >= 0);
    if (pid == 0) {
        body(shared);
        _exit(0);
    }
    return pid;
}

static inline void require_ended_well(pid_t pid)
{
    int status;

    REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
}

static inline void kill_and_reap(pid_t pid)
{
    REQUIRE(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
}

#endif
