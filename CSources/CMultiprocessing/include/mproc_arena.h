/*
 * Arenas: shared memory for payloads that are too large for a ring, one for
 * each direction, written by one process and mapped for reading by its peer.
 *
 * A payload is one range of whole pages; the record in the ring carries its
 * offset and length. The writer places ranges at the lowest offset where they
 * fit, so that the same warm pages are used again and again, and backs them
 * with memory before it touches them, so that lack of memory is an error and
 * not SIGBUS. The address space is large and sparse; what was used beyond
 * MPROC_ARENA_KEEP_BYTES is given back when nothing is outstanding.
 *
 * The whole arena is mapped at once. Where the limit on address space forbids
 * that, a mapping grows with use, and earlier ones stay valid until the arena
 * is closed.
 *
 * Crash note: what is outstanding is known to the writer alone; when it dies,
 * its peer still reads every range that a published record names.
 *
 * An arena is used by one thread at a time. Allocating costs about 50 ns when
 * the pages are warm, and 0.5 us for each new page.
 */
#ifndef MPROC_ARENA_H
#define MPROC_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "mproc_memory_policy.h"

#define MPROC_ARENA_KEEP_BYTES (UINT64_C(64) << 20)
#define MPROC_ARENA_MAX_RANGES 256
#define MPROC_ARENA_MAX_MAPPINGS 32

struct mproc_arena;

/*
 * Makes the memory of an arena of at most `capacity` bytes (a multiple of the
 * page size), none of which is used yet, on the NUMA node `node` (or
 * MPROC_NODE_ANY). Returns a close-on-exec descriptor, an error of
 * mproc_memory_bind, or -errno.
 */
int mproc_arena_create(uint64_t capacity, int node);

/*
 * Another descriptor of the same arena that cannot be mapped for writing, for
 * the peer; where /proc is missing, a plain duplicate. -errno on failure.
 */
int mproc_arena_reader(int fd);

/*
 * Opens the arena behind `fd` as its writer or as a reader. Takes over `fd`
 * in any case: closing is the arena's affair, on failure too. Returns 0,
 * -EPROTO when `fd` is no arena, or -errno.
 */
int mproc_arena_open(int fd, int writable, struct mproc_arena **arena);

/* Unmaps and closes; no pointer into it may be used again. NULL is allowed. */
void mproc_arena_close(struct mproc_arena *arena);

uint64_t mproc_arena_capacity(const struct mproc_arena *arena);

/* MARK: - Writer */

struct mproc_arena_range {
    void *bytes;
    uint64_t offset;
    uint64_t size_bytes; /* rounded up to whole pages */
    uint64_t position;   /* all bytes allocated so far, this range included */
};

/*
 * Allocates `size_bytes` of shared memory, filled with old data. Returns 0,
 * -EAGAIN when too much is outstanding (release something first), -EMSGSIZE
 * when it can never fit, -ENOSPC or -ENOMEM when there is no memory, -errno.
 */
int mproc_arena_allocate(struct mproc_arena *arena, uint64_t size_bytes,
                         struct mproc_arena_range *range);

/*
 * Shortens the range at `offset` to `size_bytes`, when a value became smaller
 * than thought. Its position stays.
 */
int mproc_arena_trim(struct mproc_arena *arena, uint64_t offset,
                     uint64_t size_bytes);

/* Releases the range that starts at `offset`; -ENOENT when there is none. */
int mproc_arena_release(struct mproc_arena *arena, uint64_t offset);

/*
 * Releases every range whose position is at most `position`, which the peer
 * published (mproc_channel_peer_arena_head). -EPROTO when `position` was not
 * allocated yet or lies behind an earlier one.
 */
int mproc_arena_release_through(struct mproc_arena *arena, uint64_t position);

/* Bytes allocated and not released. */
uint64_t mproc_arena_outstanding(const struct mproc_arena *arena);

/* Bytes of memory that back the arena. */
uint64_t mproc_arena_backed(const struct mproc_arena *arena);

/* MARK: - Reader */

/*
 * The bytes [offset, offset + size_bytes) that a record of the peer named.
 * Returns 0, -EPROTO when they are not in the arena or have no memory behind
 * them, or -errno.
 */
int mproc_arena_view(struct mproc_arena *arena, uint64_t offset,
                     uint64_t size_bytes, const void **bytes);

#endif
