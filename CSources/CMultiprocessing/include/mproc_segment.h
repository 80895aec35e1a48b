/*
 * The shared memory of one worker's channel: two ring segments and, for
 * payloads too large for a ring, one arena for each direction.
 *
 * A ring segment is a memfd that one process writes and the other only maps
 * for reading. Its size is sealed, so that no access to a mapping can end in
 * SIGBUS, and once its writer has mapped it, it is sealed against every
 * further writer (F_SEAL_FUTURE_WRITE).
 *
 *   offset                                          written by
 *        0  signature, version, sizes, start        creator, once
 *      128  tail        bytes published here        owner
 *      256  head        bytes consumed of the peer  owner
 *      384  arena_head  bytes released of the peer  owner
 *      512  sleeping    generation, odd = asleep    owner
 *      640  accepted, cursor, partial,              owner (worker)
 *           waiting, began
 *      768  control     command to the worker       owner (application)
 *      896  cpu         where the owner runs, + 1   owner
 *     1024  crash       the crash record of         owner, when it crashes
 *                       mproc_crash.h, 3 KiB
 *     4096  the ring, ring_capacity bytes
 *
 * Crash note: every field is one aligned word, so that a kill leaves it old or
 * new. A segment that a dead process could write is never used again.
 *
 * Arenas are memfds of their own, because FUTURE_WRITE forbids also to give
 * pages back (tried: punching a hole and MADV_REMOVE are both EPERM).
 */
#ifndef MPROC_SEGMENT_H
#define MPROC_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "mproc_memory_policy.h"

#define MPROC_SEGMENT_SIGNATURE UINT64_C(0x676e69726d70524f) /* "ORpmring" */
#define MPROC_SEGMENT_VERSION 1
#define MPROC_SEGMENT_RING_OFFSET 4096
#define MPROC_RING_MIN_CAPACITY 4096
#define MPROC_RING_MAX_CAPACITY (UINT64_C(1) << 30)

/* Explicit padding: Swift does not import over-aligned members. */
struct mproc_segment_header {
    uint64_t signature;
    uint32_t version;
    uint32_t header_size;
    uint64_t ring_offset;
    uint64_t ring_capacity;
    uint64_t start; /* value that every position starts from */
    uint64_t pad0[11];
    uint64_t tail;
    uint64_t pad1[15];
    uint64_t head;
    uint64_t pad2[15];
    uint64_t arena_head;
    uint64_t pad3[15];
    uint64_t sleeping;
    uint64_t pad4[15];
    uint64_t accepted;
    uint64_t cursor;
    uint64_t partial;
    uint64_t waiting;
    uint64_t began;
    uint64_t pad5[11];
    uint64_t control;
    uint64_t pad6[15];
    uint64_t cpu;
    uint64_t pad7[15];
};

#define MPROC__AT(field, offset)                                               \
    _Static_assert(offsetof(struct mproc_segment_header, field) == (offset),   \
                   "segment layout: " #field)
MPROC__AT(signature, 0);
MPROC__AT(version, 8);
MPROC__AT(header_size, 12);
MPROC__AT(ring_offset, 16);
MPROC__AT(ring_capacity, 24);
MPROC__AT(start, 32);
MPROC__AT(tail, 128);
MPROC__AT(head, 256);
MPROC__AT(arena_head, 384);
MPROC__AT(sleeping, 512);
MPROC__AT(accepted, 640);
MPROC__AT(cursor, 648);
MPROC__AT(partial, 656);
MPROC__AT(waiting, 664);
MPROC__AT(began, 672);
MPROC__AT(control, 768);
MPROC__AT(cpu, 896);
_Static_assert(sizeof(struct mproc_segment_header) == 1024, "header size");
#undef MPROC__AT

/* A mapping of header and ring; the copies were validated when it was made. */
struct mproc_segment {
    struct mproc_segment_header *header; /* NULL when not mapped */
    uint64_t mapped_bytes;
    uint64_t ring_capacity;
    uint64_t start;
};

enum {
    MPROC_SEGMENT_WRITABLE = 1,
    MPROC_SEGMENT_POPULATE = 2, /* fault all pages in now, not at first use */
};

/*
 * Makes a segment of `ring_capacity` bytes (a power of two between the limits
 * above) whose positions start from `start` (a multiple of 8; 0 outside of
 * tests, the same for both segments of a channel), on the NUMA node `node` (or
 * MPROC_NODE_ANY). Returns a close-on-exec descriptor, an error of
 * mproc_memory_bind, or -errno.
 */
int mproc_segment_create(uint64_t ring_capacity, uint64_t start, int node);

/*
 * Maps the segment behind `fd` after it has checked its seals, its size and
 * its header. The descriptor may be closed afterwards. Returns 0, -EPROTO
 * when this is not an intact segment, or -errno.
 */
int mproc_segment_map(int fd, int flags, struct mproc_segment *segment);

/*
 * Seals the segment against every later writable mapping and write(2). Its
 * writer calls it when it has mapped it: the application for A before it
 * passes the descriptor on, the worker for B. Returns 0, -EINVAL where the
 * kernel has no such seal (before 5.1; go on without), or -errno.
 */
int mproc_segment_seal(int fd);

/* Unmaps; harmless when not mapped. No pointer into it may be used again. */
void mproc_segment_unmap(struct mproc_segment *segment);

#endif
