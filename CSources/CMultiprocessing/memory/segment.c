/*
 * Makes, checks, maps and seals ring segments. A segment that
 * mproc_segment_map accepts cannot shrink and lies wholly inside its file, so
 * that nothing its other writer does can make an access to it fault.
 */
#include "mproc_segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memfd.h"

static bool is_valid_capacity(uint64_t capacity)
{
    return capacity >= MPROC_RING_MIN_CAPACITY &&
           capacity <= MPROC_RING_MAX_CAPACITY &&
           (capacity & (capacity - 1)) == 0;
}

int mproc_segment_create(uint64_t ring_capacity, uint64_t start, int node)
{
    struct mproc_segment_header header;
    ssize_t written;
    int fd;

    if (!is_valid_capacity(ring_capacity) || (start & 7) != 0)
        return -EINVAL;
    memset(&header, 0, sizeof header);
    header.signature = MPROC_SEGMENT_SIGNATURE;
    header.version = MPROC_SEGMENT_VERSION;
    header.header_size = sizeof header;
    header.ring_offset = MPROC_SEGMENT_RING_OFFSET;
    header.ring_capacity = ring_capacity;
    header.start = start;
    header.tail = start;
    header.head = start;

    fd = mproc__memfd_create("mproc-ring",
                             MPROC_SEGMENT_RING_OFFSET + ring_capacity, false,
                             node);
    if (fd < 0)
        return fd;
    do
        written = pwrite(fd, &header, sizeof header, 0);
    while (written < 0 && errno == EINTR);
    if (written != (ssize_t)sizeof header) {
        int error = written < 0 ? errno : ENOSPC;
        close(fd);
        return -error;
    }
    return fd;
}

/* Reads the header once and checks it against the size of the file. */
static int read_header(int fd, struct mproc_segment_header *header)
{
    struct stat status;
    ssize_t count;
    int result;

    result = mproc__memfd_check(fd, &status);
    if (result < 0)
        return result;
    do
        count = pread(fd, header, sizeof *header, 0);
    while (count < 0 && errno == EINTR);
    if (count < 0)
        return -errno;
    if (count != (ssize_t)sizeof *header ||
        header->signature != MPROC_SEGMENT_SIGNATURE ||
        header->version != MPROC_SEGMENT_VERSION ||
        header->header_size != sizeof *header ||
        header->ring_offset != MPROC_SEGMENT_RING_OFFSET ||
        !is_valid_capacity(header->ring_capacity) ||
        (header->start & 7) != 0 ||
        (uint64_t)status.st_size !=
            MPROC_SEGMENT_RING_OFFSET + header->ring_capacity)
        return -EPROTO;
    return 0;
}

int mproc_segment_map(int fd, int flags, struct mproc_segment *segment)
{
    struct mproc_segment_header header;
    int protection = PROT_READ, map_flags = MAP_SHARED;
    uint64_t size_bytes;
    void *base;
    int result;

    result = read_header(fd, &header);
    if (result < 0)
        return result;
    if (flags & MPROC_SEGMENT_WRITABLE)
        protection |= PROT_WRITE;
    if (flags & MPROC_SEGMENT_POPULATE)
        map_flags |= MAP_POPULATE;
    size_bytes = MPROC_SEGMENT_RING_OFFSET + header.ring_capacity;
    base = mmap(NULL, size_bytes, protection, map_flags, fd, 0);
    if (base == MAP_FAILED)
        return -errno;
    segment->header = base;
    segment->mapped_bytes = size_bytes;
    segment->ring_capacity = header.ring_capacity;
    segment->start = header.start;
    return 0;
}

int mproc_segment_seal(int fd)
{
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) < 0)
        return -errno;
    return 0;
}

void mproc_segment_unmap(struct mproc_segment *segment)
{
    if (segment->header != NULL)
        munmap(segment->header, segment->mapped_bytes);
    memset(segment, 0, sizeof *segment);
}
