/* The memory of a queue: made, mapped, and shared out to its elements. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../memory/memfd.h"
#include "mproc_atomic.h"
#include "mproc_base.h"
#include "mproc_memory_policy.h"
#include "queue_internal.h"

#define PAGE UINT64_C(65536) /* the largest that kernels are built with */

static uint64_t data_offset(uint64_t capacity)
{
    uint64_t end = MPROC__SLOTS_OFFSET + capacity * sizeof(struct mproc__slot);

    return (end + PAGE - 1) & ~(PAGE - 1);
}

/* The largest extent of a file of this size; below the smallest: none. */
static uint64_t largest_extent(uint64_t capacity, uint64_t size_bytes)
{
    uint64_t data = data_offset(capacity), extent = MPROC_QUEUE_MAX_LOG2;

    while (extent >= MPROC_QUEUE_MIN_LOG2 &&
           (size_bytes < data || size_bytes - data < UINT64_C(2) << extent))
        extent--;
    return extent;
}

int mproc_queue_create(uint64_t capacity)
{
    struct mproc__queue_header header;
    uint64_t size, extent = MPROC_QUEUE_MAX_LOG2;
    struct rlimit limit;
    int fd, result;

    if (capacity == 0 || capacity > MPROC_QUEUE_MAX_CAPACITY)
        return -EINVAL;
    size = data_offset(capacity) + (UINT64_C(2) << extent);
    /* A larger file would be SIGXFSZ. */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && size > limit.rlim_cur) {
        extent = largest_extent(capacity, limit.rlim_cur);
        if (extent < MPROC_QUEUE_MIN_LOG2)
            return -EFBIG;
        size = data_offset(capacity) + (UINT64_C(2) << extent);
    }
    fd = mproc__memfd_create("mproc-queue", size, true, MPROC_NODE_ANY);
    if (fd < 0)
        return fd;
    memset(&header, 0, sizeof header);
    header.signature = MPROC__QUEUE_SIGNATURE;
    header.capacity = capacity;
    result = mproc_write_at(fd, &header, sizeof header, 0);
    if (result < 0) {
        close(fd);
        return result;
    }
    return fd;
}

int mproc_queue_open(int memory, struct mproc_queue **result)
{
    struct mproc__queue_header header;
    struct mproc_queue *queue;
    struct stat status;
    uint64_t extent;
    void *base;
    int error = mproc__memfd_check(memory, &status);

    if (error == 0)
        error = mproc_read_all(memory, &header, sizeof header);
    if (error < 0)
        return error;
    if (header.signature != MPROC__QUEUE_SIGNATURE || header.capacity == 0 ||
        header.capacity > MPROC_QUEUE_MAX_CAPACITY)
        return -EPROTO;
    extent = largest_extent(header.capacity, (uint64_t)status.st_size);
    if (extent < MPROC_QUEUE_MIN_LOG2)
        return -EPROTO;
    queue = calloc(1, sizeof *queue);
    if (queue == NULL)
        return -ENOMEM;
    base = mmap(NULL, data_offset(header.capacity), PROT_READ | PROT_WRITE,
                MAP_SHARED, memory, 0);
    if (base == MAP_FAILED) {
        error = -errno;
        free(queue);
        return error;
    }
    queue->memory = memory;
    queue->header = base;
    queue->consumers =
        (struct mproc__consumer *)((char *)base + MPROC__CONSUMERS_OFFSET);
    queue->slots = (struct mproc__slot *)((char *)base + MPROC__SLOTS_OFFSET);
    queue->capacity = header.capacity;
    queue->data_offset = data_offset(header.capacity);
    queue->largest_extent = extent;
    queue->must_reserve = fcntl(memory, F_GET_SEALS) < 0;
    if (queue->must_reserve &&
        fallocate(memory, 0, 0, (off_t)queue->data_offset) < 0) {
        error = -errno;
        mproc_queue_close(queue);
        return error;
    }
    *result = queue;
    return 0;
}

void mproc_queue_close(struct mproc_queue *queue)
{
    for (unsigned i = 0; i <= MPROC_QUEUE_MAX_LOG2; i++)
        if (queue->extents[i] != NULL)
            munmap(queue->extents[i], (size_t)1 << i);
    munmap(queue->header, queue->data_offset);
    free(queue);
}

/* MARK: - Elements */

bool mproc__queue_slot(const struct mproc_queue *queue, uint64_t index,
                       struct mproc__slot *slot)
{
    const struct mproc__slot *shared = &queue->slots[index % queue->capacity];
    unsigned extent;

    slot->offset = mproc_load_relaxed(&shared->offset);
    slot->size = mproc_load_relaxed(&shared->size);
    slot->message = mproc_load_relaxed(&shared->message);
    if (slot->offset < UINT64_C(1) << MPROC_QUEUE_MIN_LOG2)
        return false;
    extent = mproc__extent_of(slot->offset);
    return extent <= queue->largest_extent && slot->offset % 8 == 0 &&
           slot->size <= UINT64_C(1) << extent &&
           mproc__room_of(slot->size) <=
               (UINT64_C(2) << extent) - slot->offset;
}

/* What the kernel says is there: memory that was never written would only come
 * to be by reading it, and a size that is nonsense could mean gigabytes. */
bool mproc__queue_is_there(const struct mproc_queue *queue, uint64_t offset,
                           uint64_t size)
{
    uint64_t start = queue->data_offset + offset;
    off_t hole;

    if (size <= UINT64_C(1) << MPROC_QUEUE_MIN_LOG2)
        return true;
    hole = lseek(queue->memory, (off_t)start, SEEK_HOLE);
    return hole >= 0 && (uint64_t)hole >= start + size;
}

void *mproc__queue_bytes(struct mproc_queue *queue, uint64_t offset)
{
    unsigned extent = mproc__extent_of(offset);
    uint64_t base = UINT64_C(1) << extent;
    void *known = __atomic_load_n(&queue->extents[extent], __ATOMIC_ACQUIRE);

    if (known == NULL) {
        void *mapped = mmap(NULL, base, PROT_READ | PROT_WRITE, MAP_SHARED,
                            queue->memory,
                            (off_t)(queue->data_offset + base));
        if (mapped == MAP_FAILED)
            return NULL;
        /* Nonsense in the lock may have let two threads of this process in. */
        if (__atomic_compare_exchange_n(&queue->extents[extent], &known,
                                        mapped, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
            known = mapped;
        else
            munmap(mapped, base);
    }
    return (char *)known + (offset - base);
}

/* The smallest extent from `least` on that so much fits into. */
static int place_in_new_extent(const struct mproc_queue *queue, uint64_t least,
                               uint64_t room, uint64_t *offset)
{
    while (least <= queue->largest_extent && UINT64_C(1) << least < room)
        least++;
    if (least > queue->largest_extent)
        return -EAGAIN;
    *offset = UINT64_C(1) << least;
    return 0;
}

int mproc__queue_place(const struct mproc_queue *queue, uint64_t head,
                       uint64_t tail, uint64_t size, uint64_t *offset)
{
    uint64_t room, start, next, extent;
    struct mproc__slot first, last;

    if (size > UINT64_C(1) << queue->largest_extent)
        return -EFBIG;
    room = mproc__room_of(size);
    if (head == tail)
        return place_in_new_extent(queue, MPROC_QUEUE_MIN_LOG2, room, offset);
    if (!mproc__queue_slot(queue, head, &first) ||
        !mproc__queue_slot(queue, tail - 1, &last))
        return -EPROTO;
    extent = mproc__extent_of(last.offset);
    /* Nothing of this extent was removed as long as the first element lies in
     * another one. */
    start = mproc__extent_of(first.offset) == extent ? first.offset
                                                     : UINT64_C(1) << extent;
    next = last.offset + mproc__room_of(last.size);
    if (last.offset >= start) {
        if (room <= (UINT64_C(2) << extent) - next) {
            *offset = next;
            return 0;
        }
        next = UINT64_C(1) << extent;
    }
    if (next <= start && room <= start - next) {
        *offset = next;
        return 0;
    }
    return place_in_new_extent(queue, extent + 1, room, offset);
}

int mproc__queue_reserve(struct mproc_queue *queue, uint64_t offset,
                         uint64_t size)
{
    uint64_t largest = mproc_load_relaxed(&queue->header->largest);
    unsigned extent = mproc__extent_of(offset);

    /* Ahead of the first page: what is noted here is given back. */
    if (extent > MPROC_QUEUE_KEPT_LOG2 && largest < extent)
        mproc_store_release(&queue->header->largest, extent);
    if (queue->must_reserve && size > 0 &&
        fallocate(queue->memory, 0, (off_t)(queue->data_offset + offset),
                  (off_t)size) < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    return 0;
}

static void give_back(struct mproc_queue *queue, uint64_t from, uint64_t to)
{
    fallocate(queue->memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
              (off_t)(queue->data_offset + from), (off_t)(to - from));
}

void mproc__queue_trim(struct mproc_queue *queue, uint64_t head, uint64_t tail,
                       uint64_t offset)
{
    uint64_t largest = mproc_load_relaxed(&queue->header->largest);
    unsigned extent = mproc__extent_of(offset);
    struct mproc__slot first;

    if (largest <= MPROC_QUEUE_KEPT_LOG2)
        return;
    if (largest > queue->largest_extent)
        largest = queue->largest_extent;
    if (head == tail) {
        give_back(queue, UINT64_C(2) << MPROC_QUEUE_KEPT_LOG2,
                  UINT64_C(2) << largest);
        /* Last: who is killed before leaves it to the next. */
        mproc_store_release(&queue->header->largest, 0);
    } else if (extent > MPROC_QUEUE_KEPT_LOG2 &&
               mproc__queue_slot(queue, head, &first) &&
               mproc__extent_of(first.offset) != extent) {
        give_back(queue, UINT64_C(1) << extent, UINT64_C(2) << extent);
    }
}
