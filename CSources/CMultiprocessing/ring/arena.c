/*
 * Arenas (mproc_arena.h): placement of ranges, their memory and its mapping.
 *
 * Outstanding ranges are kept in an array sorted by offset: there are few, all
 * large, so that a walk costs nothing beside the copy of one. Memory backs
 * [0, backed): first fit at the lowest offset keeps that short.
 */
#include "mproc_arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../memory/memfd.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

/* First mapping when the whole arena cannot be mapped. */
#define FIRST_MAPPING_BYTES (UINT64_C(16) << 20)

struct outstanding {
    uint64_t offset;
    uint64_t size_bytes;
    uint64_t position;
};

struct mproc_arena {
    int fd;
    int writable;
    uint64_t page;
    uint64_t capacity;
    /* The newest mapping is the widest; all begin at offset 0. */
    struct {
        uint8_t *base;
        uint64_t size_bytes;
    } mappings[MPROC_ARENA_MAX_MAPPINGS];
    unsigned mapping_count;
    uint64_t backed; /* reader: known to have memory, and faulted in */
    uint64_t allocated;
    uint64_t released_through;
    uint64_t outstanding_bytes;
    unsigned range_count;
    struct outstanding ranges[MPROC_ARENA_MAX_RANGES];
};

int mproc_arena_create(uint64_t capacity, int node)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    if (capacity == 0 || capacity % page != 0)
        return -EINVAL;
    return mproc__memfd_create("mproc-arena", capacity, true, node);
}

int mproc_arena_reader(int fd)
{
    char path[32];
    int reader;

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    reader = open(path, O_RDONLY | O_CLOEXEC);
    if (reader < 0)
        reader = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return reader < 0 ? -errno : reader;
}

/* MARK: - Mapping */

static int add_mapping(struct mproc_arena *arena, uint64_t size_bytes)
{
    int protection = arena->writable ? PROT_READ | PROT_WRITE : PROT_READ;
    void *base;

    if (arena->mapping_count == MPROC_ARENA_MAX_MAPPINGS)
        return -ENOMEM;
    base = mmap(NULL, size_bytes, protection, MAP_SHARED | MAP_NORESERVE,
                arena->fd, 0);
    if (base == MAP_FAILED)
        return -errno;
    madvise(base, size_bytes, MADV_DONTDUMP);
    arena->mappings[arena->mapping_count].base = base;
    arena->mappings[arena->mapping_count].size_bytes = size_bytes;
    arena->mapping_count++;
    return 0;
}

/* Where `offset` is mapped, once [0, end) is; NULL and *error otherwise. */
static uint8_t *address_of(struct mproc_arena *arena, uint64_t offset,
                           uint64_t end, int *error)
{
    unsigned count = arena->mapping_count;
    uint64_t size_bytes = FIRST_MAPPING_BYTES;

    if (count > 0 && arena->mappings[count - 1].size_bytes >= end)
        return arena->mappings[count - 1].base + offset;
    while (size_bytes < end)
        size_bytes *= 2;
    if (size_bytes > arena->capacity)
        size_bytes = arena->capacity;
    *error = add_mapping(arena, size_bytes);
    if (*error < 0)
        return NULL;
    return arena->mappings[arena->mapping_count - 1].base + offset;
}

int mproc_arena_open(int fd, int writable, struct mproc_arena **arena_out)
{
    struct mproc_arena *arena = NULL;
    struct stat status;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    int result;

    result = mproc__memfd_check(fd, &status);
    if (result == 0 &&
        (status.st_size == 0 || (uint64_t)status.st_size % page != 0))
        result = -EPROTO;
    if (result == 0) {
        arena = calloc(1, sizeof *arena);
        result = -ENOMEM;
    }
    if (arena == NULL) {
        close(fd);
        return result;
    }
    arena->fd = fd;
    arena->writable = writable;
    arena->page = page;
    arena->capacity = (uint64_t)status.st_size;
    result = add_mapping(arena, arena->capacity);
    if (result == -ENOMEM)
        result = 0; /* address space is limited: map what is used */
    if (result < 0) {
        mproc_arena_close(arena);
        return result;
    }
    *arena_out = arena;
    return 0;
}

void mproc_arena_close(struct mproc_arena *arena)
{
    if (arena == NULL)
        return;
    for (unsigned i = 0; i < arena->mapping_count; i++)
        munmap(arena->mappings[i].base, arena->mappings[i].size_bytes);
    close(arena->fd);
    free(arena);
}

uint64_t mproc_arena_capacity(const struct mproc_arena *arena)
{
    return arena->capacity;
}

uint64_t mproc_arena_outstanding(const struct mproc_arena *arena)
{
    return arena->outstanding_bytes;
}

uint64_t mproc_arena_backed(const struct mproc_arena *arena)
{
    return arena->backed;
}

/* MARK: - Writer */

/* Backs [0, end) with memory; faulting it in as well is only for speed. */
static int back(struct mproc_arena *arena, uint8_t *base, uint64_t end)
{
    uint64_t begin = arena->backed;

    if (end <= begin)
        return 0;
    while (fallocate(arena->fd, 0, (off_t)begin, (off_t)(end - begin)) < 0)
        if (errno != EINTR)
            return -errno;
    arena->backed = end;
    madvise(base + begin, end - begin, MADV_POPULATE_WRITE);
    return 0;
}

/* The index before which a range of `size_bytes` fits, and its offset. */
static bool find_gap(const struct mproc_arena *arena, uint64_t size_bytes,
                     unsigned *index, uint64_t *offset)
{
    uint64_t begin = 0;

    for (unsigned i = 0; i <= arena->range_count; i++) {
        uint64_t end = i < arena->range_count ? arena->ranges[i].offset
                                              : arena->capacity;
        if (end - begin >= size_bytes) {
            *index = i;
            *offset = begin;
            return true;
        }
        if (i < arena->range_count)
            begin = end + arena->ranges[i].size_bytes;
    }
    return false;
}

int mproc_arena_allocate(struct mproc_arena *arena, uint64_t size_bytes,
                         struct mproc_arena_range *range)
{
    uint64_t offset, rounded;
    unsigned index;
    uint8_t *bytes;
    int error = 0;

    if (!arena->writable || size_bytes == 0)
        return -EINVAL;
    if (size_bytes > arena->capacity)
        return -EMSGSIZE;
    rounded = (size_bytes + arena->page - 1) / arena->page * arena->page;
    if (arena->range_count == MPROC_ARENA_MAX_RANGES ||
        !find_gap(arena, rounded, &index, &offset))
        return -EAGAIN;
    bytes = address_of(arena, offset, offset + rounded, &error);
    if (bytes == NULL)
        return error;
    error = back(arena, bytes - offset, offset + rounded);
    if (error < 0)
        return error;

    memmove(&arena->ranges[index + 1], &arena->ranges[index],
            (arena->range_count - index) * sizeof arena->ranges[0]);
    arena->range_count++;
    arena->allocated += rounded;
    arena->outstanding_bytes += rounded;
    arena->ranges[index].offset = offset;
    arena->ranges[index].size_bytes = rounded;
    arena->ranges[index].position = arena->allocated;
    range->bytes = bytes;
    range->offset = offset;
    range->size_bytes = rounded;
    range->position = arena->allocated;
    return 0;
}

static int index_of(const struct mproc_arena *arena, uint64_t offset)
{
    for (unsigned i = 0; i < arena->range_count; i++)
        if (arena->ranges[i].offset == offset)
            return (int)i;
    return -ENOENT;
}

int mproc_arena_trim(struct mproc_arena *arena, uint64_t offset,
                     uint64_t size_bytes)
{
    int index = index_of(arena, offset);
    uint64_t rounded;

    if (index < 0)
        return index;
    rounded = (size_bytes + arena->page - 1) / arena->page * arena->page;
    if (size_bytes == 0 || rounded > arena->ranges[index].size_bytes)
        return -EINVAL;
    arena->outstanding_bytes -= arena->ranges[index].size_bytes - rounded;
    arena->ranges[index].size_bytes = rounded;
    return 0;
}

static void remove_range(struct mproc_arena *arena, unsigned index)
{
    arena->outstanding_bytes -= arena->ranges[index].size_bytes;
    arena->range_count--;
    memmove(&arena->ranges[index], &arena->ranges[index + 1],
            (arena->range_count - index) * sizeof arena->ranges[0]);
}

/* Gives back memory beyond what is kept, when no range is outstanding. */
static void give_back(struct mproc_arena *arena)
{
    if (arena->range_count > 0 || arena->backed <= MPROC_ARENA_KEEP_BYTES)
        return;
    if (fallocate(arena->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  (off_t)MPROC_ARENA_KEEP_BYTES,
                  (off_t)(arena->backed - MPROC_ARENA_KEEP_BYTES)) == 0)
        arena->backed = MPROC_ARENA_KEEP_BYTES;
}

int mproc_arena_release(struct mproc_arena *arena, uint64_t offset)
{
    int index = index_of(arena, offset);

    if (index < 0)
        return index;
    remove_range(arena, (unsigned)index);
    give_back(arena);
    return 0;
}

int mproc_arena_release_through(struct mproc_arena *arena, uint64_t position)
{
    if (position < arena->released_through || position > arena->allocated)
        return -EPROTO;
    arena->released_through = position;
    for (unsigned i = arena->range_count; i-- > 0;)
        if (arena->ranges[i].position <= position)
            remove_range(arena, i);
    give_back(arena);
    return 0;
}

/* MARK: - Reader */

/*
 * Whether [begin, end) has memory behind it. Reading a hole of a memfd through
 * a mapping allocates it: a record that names one could make us allocate all
 * of the arena.
 */
static int check_backed(const struct mproc_arena *arena, uint64_t begin,
                        uint64_t end)
{
    off_t hole = lseek(arena->fd, (off_t)begin, SEEK_HOLE);

    if (hole < 0)
        return errno == ENXIO ? -EPROTO : -errno;
    return (uint64_t)hole >= end ? 0 : -EPROTO;
}

int mproc_arena_view(struct mproc_arena *arena, uint64_t offset,
                     uint64_t size_bytes, const void **bytes)
{
    uint64_t end;
    uint8_t *base;
    int error = 0;

    if (size_bytes == 0 || offset % arena->page != 0 ||
        offset > arena->capacity || size_bytes > arena->capacity - offset)
        return -EPROTO;
    end = (offset + size_bytes + arena->page - 1) / arena->page * arena->page;
    base = address_of(arena, offset, end, &error);
    if (base == NULL)
        return error;
    if (end > arena->backed) {
        error = check_backed(arena, offset, end);
        if (error < 0)
            return error;
        /* Beyond what the writer keeps, memory comes and goes. */
        madvise(base, end - offset, MADV_POPULATE_READ);
        if (offset <= arena->backed)
            arena->backed = end < MPROC_ARENA_KEEP_BYTES
                                ? end : MPROC_ARENA_KEEP_BYTES;
    }
    *bytes = base;
    return 0;
}
