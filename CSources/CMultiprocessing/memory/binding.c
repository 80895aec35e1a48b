/* The node of shared memory (mproc_memory_policy.h). Calls libnuma's wrappers
 * of the system calls alone: its own allocation functions answer an impossible
 * node with memory of another one and a line on standard error. */
#include <errno.h>
#include <limits.h>
#include <numaif.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mproc_memory_policy.h"

#define WORD_BITS (sizeof(unsigned long) * CHAR_BIT)
#define BATCH 512

int mproc_memory_bind(int fd, uint64_t size_bytes, int node)
{
    unsigned long mask[MPROC_NODE_LIMIT / WORD_BITS];
    long result;
    void *base;

    if (node < 0 || node >= MPROC_NODE_LIMIT)
        return -EINVAL;
    memset(mask, 0, sizeof mask);
    mask[(size_t)node / WORD_BITS] = 1ul << (size_t)node % WORD_BITS;
    /* A range of a file is named by a mapping of it; the policy stays. */
    base = mmap(NULL, size_bytes, PROT_NONE, MAP_SHARED | MAP_NORESERVE, fd,
                0);
    if (base == MAP_FAILED)
        return -errno;
    /* The kernel takes one off before it uses the number of bits. */
    result = mbind(base, size_bytes, MPOL_BIND, mask, MPROC_NODE_LIMIT + 1, 0);
    if (result < 0)
        result = -errno;
    munmap(base, size_bytes);
    return (int)result;
}

int mproc_memory_residence(const void *base, uint64_t size_bytes, int node,
                           uint64_t *there, uint64_t *elsewhere)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), offset = 0;
    void *pages[BATCH];
    int status[BATCH];

    *there = *elsewhere = 0;
    while (offset < size_bytes) {
        unsigned long count = 0;
        for (; count < BATCH && offset < size_bytes; offset += page)
            pages[count++] = (char *)base + offset;
        /* Without target nodes it only asks. */
        if (move_pages(0, count, pages, NULL, status, 0) < 0)
            return -errno;
        for (unsigned long i = 0; i < count; i++) {
            if (status[i] == node)
                ++*there;
            else if (status[i] >= 0)
                ++*elsewhere;
        }
    }
    return 0;
}
