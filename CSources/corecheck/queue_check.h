/* A queue as the checks of queue.c and queue_kill.c use it. */
#ifndef QUEUE_CHECK_H
#define QUEUE_CHECK_H

#include "check.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mproc_base.h"
#include "mproc_queue.h"

#define PATIENT ((struct mproc_patience){UINT64_MAX, NULL})
#define AT_ONCE ((struct mproc_patience){0, NULL})

struct open_queue {
    struct mproc_queue *queue;
    int memory, sender, receiver;
};

static inline struct mproc_patience within_ms(uint64_t time)
{
    return (struct mproc_patience){mproc_now_ns() + time * 1000000, NULL};
}

static inline struct open_queue open_queue(uint64_t capacity)
{
    struct open_queue open;
    int ends[2];

    open.memory = mproc_queue_create(capacity);
    REQUIRE(open.memory >= 0 && mproc_queue_ends(ends) == 0);
    REQUIRE(mproc_queue_open(open.memory, &open.queue) == 0);
    open.sender = ends[0];
    open.receiver = ends[1];
    return open;
}

static inline void close_end(int *end)
{
    if (*end >= 0)
        close(*end);
    *end = -1;
}

static inline void close_queue(struct open_queue *open)
{
    mproc_queue_close(open->queue);
    close_end(&open->sender);
    close_end(&open->receiver);
    close(open->memory);
}

/* An element begins with its number; the rest is its pattern. */
static inline int send_numbered(struct open_queue *open, uint64_t number,
                                size_t size, struct mproc_patience patience)
{
    char *bytes = malloc(size);
    int result;

    REQUIRE(bytes != NULL && size >= sizeof number);
    fill_pattern(bytes, size, number);
    memcpy(bytes, &number, sizeof number);
    result = mproc_queue_push(open->queue, open->sender, bytes, size, NULL, 0,
                              patience);
    free(bytes);
    return result;
}

static inline bool is_numbered(const struct mproc_queue_element *element,
                               uint64_t *number)
{
    const uint8_t *bytes = element->bytes;

    if (element->size < sizeof *number)
        return false;
    memcpy(number, bytes, sizeof *number);
    for (size_t i = sizeof *number; i < element->size; i++)
        if (bytes[i] != pattern(*number, i))
            return false;
    return true;
}

/* The result of the pop. */
static inline int receive_numbered(struct open_queue *open, uint64_t *number,
                                   struct mproc_patience patience)
{
    struct mproc_queue_element element;
    int result = mproc_queue_pop(open->queue, open->receiver, &element,
                                 patience);

    if (result == 1) {
        REQUIRE(is_numbered(&element, number));
        REQUIRE(element.descriptor_count == 0);
        free(element.bytes);
    }
    return result;
}

static inline uint64_t memory_of(const struct open_queue *open)
{
    struct stat status;

    REQUIRE(fstat(open->memory, &status) == 0);
    return (uint64_t)status.st_blocks * 512;
}

#endif
