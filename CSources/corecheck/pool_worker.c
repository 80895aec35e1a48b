/*
 * A worker of a pool, as WorkerMain.swift has it. `mutant` selects one thing
 * that is done in the wrong order.
 */
#include "pool.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

/* Tells the truth here and not where the compiler would like to. */
static inline void tell(uint8_t *word)
{
    __asm__ volatile("" ::: "memory");
    *(volatile uint8_t *)word = (uint8_t)(*word + 1);
    __asm__ volatile("" ::: "memory");
}

/* In pieces: more is copied by `rep movsb`, a step for each byte; and what
 * gcc makes of a short memcpy takes as many. */
static void copy(uint8_t *target, const uint8_t *source, size_t size)
{
    while (size > 0) {
        size_t piece = size < 1024 ? size : 1024;

        memmove(target, source, piece);
        target += piece;
        source += piece;
        size -= piece;
    }
}

/* MARK: - The output, as ByteWriter */

static uint8_t *output(struct pool_worker *worker)
{
    return worker->spilled ? worker->own : worker->room;
}

static void append(struct pool_worker *worker, const void *bytes, size_t size)
{
    if (!worker->spilled && size > worker->room_size - worker->count) {
        copy(worker->own, worker->room, worker->count);
        worker->spilled = true;
    }
    copy(output(worker) + worker->count, bytes, size);
    worker->count += size;
}

/* All the free room that one record may take; waits for some. */
static void reserve_output(struct pool_worker *worker)
{
    struct mproc_channel *channel = &worker->channel;

    while ((worker->room = mproc_ring_reserve_most(
                channel, POOL_MINIMUM_ROOM, &worker->room_size)) == NULL) {
        uint64_t freed = channel->freed;

        if (mproc_ring_refresh_limit(channel) < 0)
            tell(&worker->truth->damaged);
        if (channel->freed == freed)
            worker->wait(worker, MPROC_WORD_HEAD, (uint32_t)freed);
        if (worker->stopped) { /* there will be no room */
            worker->room = worker->own;
            worker->room_size = 0;
            break;
        }
    }
    if (worker->room_size > 0)
        mproc_ring_set_partial(channel);
    worker->count = 0;
    worker->spilled = false;
}

/* MARK: - Sending */

static void publish(struct pool_worker *worker)
{
    mproc_ring_publish(&worker->channel);
    if (mproc_channel_peer_sleeps(&worker->channel, MPROC_WORD_TAIL)) {
        eventfd_write(worker->bell, 1);
        mproc_channel_mark_rung(&worker->channel, MPROC_WORD_TAIL);
    }
}

/* The header goes to the room, where `size` bytes of a record lie. */
static void send_room(struct pool_worker *worker,
                      const struct completion_header *header, size_t size,
                      uint32_t kind)
{
    struct mproc_channel *channel = &worker->channel;
    uint64_t position = channel->tail + channel->padding;
    void *room = mproc_ring_reserved(channel);

    if (worker->stopped)
        return;
    if (worker->mutant == PUBLISHES_BEFORE_COMMITTING)
        mproc_store_release(&channel->own->tail,
                            position + mproc_ring_record_size(size));
    if (worker->mutant == PUBLISHES_BEFORE_THE_HEADER) {
        mproc_ring_commit(channel, size, kind);
        publish(worker);
        memcpy(room, header, sizeof *header);
        return;
    }
    memcpy(room, header, sizeof *header);
    mproc_ring_commit(channel, size, kind);
    publish(worker);
}

static void tell_counted(struct pool_worker *worker, uint32_t item,
                         uint32_t count)
{
    while (count-- > 0)
        tell(&worker->truth->counted[item++]);
}

/* NULL when the worker has to stop. */
static uint8_t *arena_room(struct pool_worker *worker, size_t size,
                           struct arena_reference *reference)
{
    struct mproc_arena_range range;
    int result;

    for (;;) {
        mproc_arena_release_through(
            worker->results, mproc_channel_peer_arena_head(&worker->channel));
        result = mproc_arena_allocate(worker->results, size, &range);
        if (result == 0)
            break;
        if (result != -EAGAIN)
            tell(&worker->truth->damaged);
        tell(&worker->truth->waits);
        worker->wait(worker, MPROC_WORD_CONTROL, 0);
        worker->truth->waits = 0;
        if (worker->stopped)
            return NULL;
    }
    *reference = (struct arena_reference){range.offset, size, range.position};
    return range.bytes;
}

static void send_through_arena(struct pool_worker *worker,
                               struct completion_header header,
                               const uint8_t *bytes, size_t size)
{
    bool late = worker->mutant == NAMES_ARENA_BYTES_BEFORE_COPYING;
    struct arena_reference reference;
    uint8_t *target = arena_room(worker, size, &reference);

    if (target == NULL)
        return;
    if (!late)
        copy(target, bytes, size);
    header.flags |= COMPLETION_IN_ARENA;
    reserve_output(worker);
    append(worker, &header, sizeof header);
    append(worker, &reference, sizeof reference);
    send_room(worker, &header, worker->count, COMPLETION_VALUES);
    if (late)
        copy(target, bytes, size);
}

/*
 * Some results did not fit into the room. Those before them that the cursor
 * counts lie in it and must stay: they are sent as they are, and the rest,
 * from `*bytes` on, after them.
 */
static void send_counted(struct pool_worker *worker,
                         struct completion_header *header, size_t *bytes)
{
    struct completion_header counted = *header;
    uint64_t stored;
    uint32_t items;

    mproc_channel_own_cursor(&worker->channel, &items, &stored);
    if (worker->mutant == FORGETS_COUNTED_RESULTS)
        mproc_ring_clear_partial(&worker->channel);
    if (items <= header->first ||
        worker->mutant == SPILLS_OVER_COUNTED_RESULTS ||
        worker->mutant == FORGETS_COUNTED_RESULTS)
        return;
    if (stored > worker->count || items - header->first > header->count)
        __builtin_trap(); /* the cursor of a mutant */
    counted.count = items - header->first;
    counted.flags = 0;
    send_room(worker, &counted, (size_t)stored, COMPLETION_VALUES);
    header->first += counted.count;
    header->count -= counted.count;
    *bytes = (size_t)stored;
}

static void send_values(struct pool_worker *worker, uint32_t item,
                        struct completion_header header)
{
    size_t begin = sizeof header;

    if (worker->spilled)
        send_counted(worker, &header, &begin);
    if (!worker->spilled)
        send_room(worker, &header, worker->count, COMPLETION_VALUES);
    else if (header.count > 0)
        send_through_arena(worker, header, worker->own + begin,
                           worker->count - begin);
    if (!worker->stopped)
        tell_counted(worker, item + header.first, header.count);
}

static void send_failure(struct pool_worker *worker, uint32_t item,
                         struct completion_header header)
{
    reserve_output(worker);
    append(worker, &header, sizeof header);
    append(worker, "thrown.", 8);
    send_room(worker, &header, worker->count, COMPLETION_FAILURE);
    if (!worker->stopped)
        tell_counted(worker, item + header.first, 1);
}

/* MARK: - Running */

/* The body. Returns the item; *threw when it gave no result. */
static uint32_t call(struct pool_worker *worker, const uint8_t **arguments,
                     bool *threw)
{
    struct pool_truth *truth = worker->truth;
    const uint8_t *result;
    size_t left;
    uint32_t item;

    memcpy(&item, *arguments, sizeof item);
    if (item >= POOL_ITEMS ||
        memcmp(*arguments, pool_argument(item),
               pool_items[item].argument_size) != 0) {
        tell(&truth->damaged);
        *threw = true;
        return 0;
    }
    tell(&truth->begun[item]);
    *arguments += pool_items[item].argument_size;
    result = pool_result(item);
    left = pool_items[item].result_size;
    while (left > 0) {
        size_t size = left < 512 ? left : 512;
        append(worker, result, size);
        result += size;
        left -= size;
    }
    *threw = pool_items[item].throws;
    tell(&truth->finished[item]);
    return item;
}

/* Items are done and stored: whether to go on into the same room. */
static bool stored(struct pool_worker *worker, uint32_t items, uint32_t count)
{
    if (worker->spilled)
        return false;
    if (worker->mutant == COUNTS_IN_TWO_STORES) {
        uint64_t bytes;
        uint32_t before;
        mproc_channel_own_cursor(&worker->channel, &before, &bytes);
        mproc_channel_set_cursor(&worker->channel, items, bytes);
    }
    mproc_channel_set_cursor(&worker->channel, items, worker->count);
    return items < count;
}

/* The items of a record up to one that fills the room, or throws. */
static bool run_items(struct pool_worker *worker,
                      const struct task_header *task,
                      const uint8_t **arguments, uint32_t *item)
{
    struct completion_header header = {task->number, *item, 0, 0, 0};
    uint32_t first_of_script = 0;
    bool threw = false, goes_on;
    size_t end;

    reserve_output(worker);
    append(worker, &header, sizeof header);
    end = worker->count;
    do {
        uint32_t number;

        if (worker->mutant == COUNTS_BEFORE_STORING) {
            memcpy(&number, *arguments, sizeof number);
            mproc_channel_set_cursor(
                &worker->channel, *item + 1,
                worker->count + pool_items[number].result_size);
        }
        number = call(worker, arguments, &threw);
        first_of_script = number - *item;
        if (threw)
            break;
        *item += 1;
        end = worker->count;
        goes_on = stored(worker, *item, task->count);
        if (!worker->spilled)
            tell(&worker->truth->counted[number]);
    } while (goes_on);
    worker->count = end;

    header.count = *item - header.first;
    header.flags = !threw && *item == task->count ? COMPLETION_LAST : 0;
    if (header.count > 0)
        send_values(worker, first_of_script, header);
    if (!threw)
        return *item < task->count && !worker->stopped;
    header = (struct completion_header){task->number, *item, 1,
                                        COMPLETION_LAST, 0};
    send_failure(worker, first_of_script, header);
    return false;
}

static void run(struct pool_worker *worker, const uint8_t *record, size_t size)
{
    struct mproc_channel *channel = &worker->channel;
    bool late = worker->mutant == ACCEPTS_AFTER_RUNNING;
    const uint8_t *arguments = record + sizeof(struct task_header);
    struct task_header task;
    uint32_t item = 0;

    if (size < sizeof task)
        return tell(&worker->truth->damaged);
    memcpy(&task, record, sizeof task);
    if (task.flags & TASK_IN_ARENA) {
        struct arena_reference reference;
        const void *bytes;

        memcpy(&reference, arguments, sizeof reference);
        if (mproc_arena_view(worker->arguments, reference.offset,
                             reference.size_bytes, &bytes) != 0)
            return tell(&worker->truth->damaged);
        arguments = bytes;
    }
    if (worker->mutant != KEEPS_THE_OLD_CURSOR)
        mproc_channel_set_cursor(channel, 0, 0);
    mproc_ring_clear_partial(channel);
    *(volatile uint64_t *)&worker->truth->taken = task.number;
    if (!late)
        mproc_channel_set_accepted(channel, channel->head);
    while (run_items(worker, &task, &arguments, &item))
        ;
    if (late)
        mproc_channel_set_accepted(channel, channel->head);
}

void pool_worker_serve(struct pool_worker *worker)
{
    struct mproc_channel *channel = &worker->channel;
    const void *payload;
    uint32_t kind;
    size_t size;

    while (!worker->stopped) {
        int found = mproc_ring_peek(channel, &payload, &size, &kind);

        if (found == 0) {
            mproc_channel_set_cpu(channel, 0);
            worker->wait(worker, MPROC_WORD_TAIL, (uint32_t)channel->head);
            continue;
        }
        if (found != 1)
            return tell(&worker->truth->damaged);
        if (kind == TASK_ITEMS)
            run(worker, payload, size);
        else if (kind == TASK_STOP)
            worker->stopped = true;
        else if (kind != TASK_DEFINE)
            tell(&worker->truth->damaged);
        mproc_ring_consume(channel);
    }
}
