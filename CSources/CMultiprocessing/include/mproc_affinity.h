/*
 * CPU affinity of one thread, for masks of any size.
 *
 * These are the bare system calls. glibc's cpu_set_t ends at 1024 CPUs and
 * its wrappers do not say how many bytes the kernel filled. Both functions
 * take no lock and allocate nothing: they are async-signal-safe, and may be
 * called between fork and exec.
 *
 * A mask is an array of unsigned long; CPU n is bit n % (bits in a long) of
 * word n / (bits in a long).
 */
#ifndef MPROC_AFFINITY_H
#define MPROC_AFFINITY_H

#include <stddef.h>
#include <stdint.h>

/*
 * Reads the mask of thread `tid` (0: the calling thread) into `mask`, whose
 * size is `size_bytes`, a multiple of sizeof(unsigned long). What the kernel
 * does not fill is set to zero.
 *
 * Returns the bytes that the kernel filled, or -EINVAL when the buffer cannot
 * hold the machine's possible CPUs (try again with a larger one), or -errno.
 */
int mproc_affinity_get(int32_t tid, unsigned long *mask, size_t size_bytes);

/*
 * Sets the mask of thread `tid` (0: the calling thread). Threads and processes
 * that it makes later inherit it.
 *
 * The kernel drops the CPUs that are offline or that the thread's cpuset
 * forbids, and says nothing while one is left: read the mask back. Returns 0,
 * -EINVAL when none is left, or -errno.
 */
int mproc_affinity_set(int32_t tid, const unsigned long *mask,
                       size_t size_bytes);

#endif
