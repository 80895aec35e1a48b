/* The two affinity calls, declared and described in mproc_affinity.h. */
#include "mproc_affinity.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int mproc_affinity_get(pid_t tid, unsigned long *mask, size_t size_bytes)
{
    if (size_bytes > INT_MAX)
        return -EINVAL;
    long filled = syscall(SYS_sched_getaffinity, tid, size_bytes, mask);
    if (filled < 0)
        return -errno;
    memset((char *)mask + filled, 0, size_bytes - (size_t)filled);
    return (int)filled;
}

int mproc_affinity_set(pid_t tid, const unsigned long *mask,
                       size_t size_bytes)
{
    if (size_bytes > INT_MAX)
        return -EINVAL;
    if (syscall(SYS_sched_setaffinity, tid, size_bytes, mask) < 0)
        return -errno;
    return 0;
}
