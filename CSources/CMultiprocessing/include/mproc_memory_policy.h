/*
 * The NUMA memory policy of the calling thread.
 *
 * The policy decides from which nodes the kernel takes pages that the thread
 * touches for the first time. Threads and processes that it makes later
 * inherit it, through exec too. The call is async-signal-safe.
 */
#ifndef MPROC_MEMORY_POLICY_H
#define MPROC_MEMORY_POLICY_H

#include <stddef.h>

/* The kernel's numbers; policy.c asserts that they equal numaif.h's. */
enum {
    MPROC_MEMORY_POLICY_DEFAULT = 0,
    MPROC_MEMORY_POLICY_PREFERRED = 1,
    MPROC_MEMORY_POLICY_BIND = 2,
    MPROC_MEMORY_POLICY_INTERLEAVE = 3,
    MPROC_MEMORY_POLICY_LOCAL = 4,
};

/*
 * Sets the policy to `mode`, one of the above or a newer mode of the kernel.
 * `nodes` is a mask in the form of mproc_affinity.h with bits for node numbers;
 * DEFAULT and LOCAL take none (NULL and 0).
 *
 * Returns 0; -EINVAL when a node has no memory, is not there, or the mode and
 * the mask do not fit; -ENOSYS on a kernel without NUMA; -EPERM where a
 * sandbox forbids the call; or another -errno.
 */
int mproc_memory_policy_set(int mode, const unsigned long *nodes,
                            size_t size_bytes);

#endif
