/* A process as the holder of a lock: its number and its start time, which
 * together are nobody else's as long as the machine runs. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mproc_atomic.h"
#include "sync_internal.h"

/* 0: not known yet. */
static uint64_t self;

static void forget_self(void)
{
    mproc_store_relaxed(&self, 0);
}

__attribute__((constructor)) static void forget_self_in_copies(void)
{
    pthread_atfork(NULL, NULL, forget_self);
}

/*
 * Field 22 of /proc/PID/stat, in clock ticks since boot. 0, -ESRCH when the
 * process has ended, also as a zombie; -errno when that cannot be known.
 */
static int start_time(pid_t pid, uint32_t *ticks)
{
    char path[32], text[1024], *cursor;
    ssize_t size;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT && access("/proc/self/stat", F_OK) == 0
                   ? -ESRCH
                   : -errno;
    do
        size = read(fd, text, sizeof text - 1);
    while (size < 0 && errno == EINTR);
    close(fd);
    if (size <= 0)
        return -ESRCH;
    text[size] = 0;
    /* "pid (name) state …", where the name may hold anything. */
    cursor = strrchr(text, ')');
    if (cursor == NULL || cursor[1] != ' ')
        return -EPROTO;
    cursor += 2;
    if (*cursor == 'Z' || *cursor == 'X')
        return -ESRCH;
    for (int field = 3; field < 22; field++) {
        cursor = strchr(cursor, ' ');
        if (cursor == NULL)
            return -EPROTO;
        cursor++;
    }
    *ticks = (uint32_t)strtoull(cursor, NULL, 10);
    return 0;
}

uint64_t mproc__self(void)
{
    uint64_t known = mproc_load_relaxed(&self);
    uint32_t ticks = 0;
    pid_t pid;

    if (known != 0)
        return known;
    pid = getpid();
    /* Without /proc the number alone has to do, for everybody alike. */
    if (start_time(pid, &ticks) < 0)
        ticks = 0;
    known = (uint64_t)ticks << 32 | (uint32_t)pid;
    mproc_store_relaxed(&self, known);
    return known;
}

bool mproc__is_dead(uint64_t owner)
{
    pid_t pid = (pid_t)(owner & UINT32_MAX & ~MPROC__FLAGS);
    uint32_t ticks = 0;
    int result;

    if (pid <= 0)
        return true;
    if ((owner & ~MPROC__FLAGS) == mproc__self())
        return false;
    result = start_time(pid, &ticks);
    if (result == 0)
        return ticks != (uint32_t)(owner >> 32);
    if (result == -ESRCH)
        return true;
    /* Without /proc. Signal 0 asks and sends nothing, whoever has the number;
     * one that has been given to another process counts as alive. */
    return kill(pid, 0) < 0 && errno == ESRCH;
}

uint64_t mproc_current_thread(void)
{
    return (uint64_t)(uintptr_t)pthread_self();
}
