/*
 * NUMA memory: the policy of the calling thread, and the node of shared memory.
 *
 * The policy decides from which nodes the kernel takes pages that the thread
 * touches for the first time. Threads and processes that it makes later
 * inherit it, through exec too. The call is async-signal-safe.
 */
#ifndef MPROC_MEMORY_POLICY_H
#define MPROC_MEMORY_POLICY_H

#include <stddef.h>
#include <stdint.h>

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

/* No node in particular: pages come from where they are touched first. */
#define MPROC_NODE_ANY (-1)
#define MPROC_NODE_LIMIT 1024

/*
 * Binds the memory of the file `fd`, of `size_bytes` bytes, to the NUMA node
 * `node`: pages that whoever touches first come from there, in every process
 * that maps the file, and from nowhere else. It belongs to the file and ends
 * with it; pages that are there already stay.
 *
 * Returns 0; -EINVAL for a node that is not there, has no memory or is forbidden
 * by the cpuset; -ENOSYS on a kernel without NUMA; -EPERM where a sandbox
 * forbids the call; -ENOMEM where the file cannot be mapped; or another -errno.
 */
int mproc_memory_bind(int fd, uint64_t size_bytes, int node);

/*
 * Counts the pages of [base, base + size_bytes) that lie on `node` and on other
 * nodes. Pages that this process has not touched count for neither. Returns 0
 * or -errno. Cost: a system call for each 512 pages.
 */
int mproc_memory_residence(const void *base, uint64_t size_bytes, int node,
                           uint64_t *there, uint64_t *elsewhere);

#endif
