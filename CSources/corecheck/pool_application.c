/*
 * The application's side of one worker: WorkerChannel+Submit.swift,
 * +Completions and +End. Results are not kept but compared at once with what
 * the script says.
 */
#include "pool.h"

#include <string.h>
#include <sys/eventfd.h>

static struct pool_entry *entry_at(struct pool_application *application,
                                   uint32_t position)
{
    return &application->outstanding[position % POOL_RECORDS];
}

static struct pool_entry *front(struct pool_application *application)
{
    return entry_at(application, application->front);
}

static void set_wrong(struct pool_application *application, const char *what)
{
    if (application->wrong == NULL)
        application->wrong = what;
}

/* What no worker does but one that writes nonsense. */
static bool refuse(struct pool_application *application, const char *what)
{
    if (!application->suspects)
        set_wrong(application, what);
    return false;
}

static void set_outcome(struct pool_application *application, uint32_t item,
                        enum pool_outcome outcome)
{
    if (application->outcome[item] != NONE)
        set_wrong(application, "an item has two outcomes");
    application->outcome[item] = (uint8_t)outcome;
}

/* MARK: - Submitting */

static bool define(struct pool_application *application)
{
    void *room;

    if (application->is_defined)
        return true;
    room = mproc_ring_reserve(&application->channel, 40);
    if (room == NULL)
        return false;
    memset(room, 0x11, 40);
    mproc_ring_commit(&application->channel, 40, TASK_DEFINE);
    application->is_defined = true;
    return true;
}

static bool put_arguments(struct pool_application *application, uint8_t *room,
                          const void *bytes, size_t size,
                          struct pool_entry *entry)
{
    struct arena_reference reference;
    struct mproc_arena_range range;

    if (!entry->in_arena) {
        memcpy(room, bytes, size);
        return true;
    }
    if (mproc_arena_allocate(application->arguments, size, &range) != 0)
        return false;
    memcpy(range.bytes, bytes, size);
    reference = (struct arena_reference){range.offset, size, range.position};
    memcpy(room, &reference, sizeof reference);
    entry->arena_offset = range.offset;
    return true;
}

bool pool_submit(struct pool_application *application, uint32_t first,
                 uint32_t count, const void *bytes, size_t size)
{
    struct mproc_channel *channel = &application->channel;
    struct pool_entry entry = {.number = application->last_number + 1,
                               .first = first, .count = count,
                               .in_arena = size > POOL_INLINE_LIMIT};
    struct task_header header = {entry.number, 1, count,
                                 entry.in_arena ? TASK_IN_ARENA : 0, 0};
    size_t record = sizeof header + (entry.in_arena
                                         ? sizeof(struct arena_reference)
                                         : size);
    uint8_t *room;

    if (!application->is_open || !define(application))
        return false;
    room = mproc_ring_reserve(channel, record);
    if (room == NULL)
        return false;
    if (application->mutant == SUBMITS_BEFORE_COPYING) {
        struct mproc_channel saved = *channel;
        mproc_ring_commit(channel, record, TASK_ITEMS);
        pool_publish(application);
        saved.tail_bell = channel->tail_bell;
        *channel = saved;
    }
    if (!put_arguments(application, room + sizeof header, bytes, size, &entry))
        return false;
    memcpy(room, &header, sizeof header);
    mproc_ring_commit(channel, record, TASK_ITEMS);
    entry.end = channel->tail;
    entry.start = entry.end - mproc_ring_record_size(record);
    application->last_number = entry.number;
    *entry_at(application, application->end++) = entry;
    if (application->mutant == FREES_WHAT_WAS_TAKEN)
        mproc_ring_set_limit(channel, entry.start);
    return true;
}

void pool_publish(struct pool_application *application)
{
    struct mproc_channel *channel = &application->channel;

    mproc_channel_set_cpu(channel, 1);
    mproc_ring_publish(channel);
    if (mproc_channel_peer_sleeps(channel, MPROC_WORD_TAIL))
        mproc_channel_wake(channel, MPROC_WORD_TAIL);
}

/* The next record of the script, or the stop after the last one. */
static bool submit_next(struct pool_application *application)
{
    const struct pool_record *record =
        &pool_records[application->submitted % POOL_RECORDS];
    static uint8_t bytes[POOL_OUTPUT];
    size_t size = 0;
    void *room;

    if (application->submitted == POOL_RECORDS) {
        room = mproc_ring_reserve(&application->channel, 8);
        if (application->stop_sent || room == NULL)
            return false;
        memset(room, 0, 8);
        mproc_ring_commit(&application->channel, 8, TASK_STOP);
        return application->stop_sent = true;
    }
    if (application->end - application->front >= application->window)
        return false;
    for (uint32_t i = record->first; i < record->first + record->count; i++) {
        memcpy(bytes + size, pool_argument(i), pool_items[i].argument_size);
        size += pool_items[i].argument_size;
    }
    if (!pool_submit(application, record->first, record->count, bytes, size))
        return false;
    application->submitted++;
    return true;
}

void pool_arm(struct pool_application *application)
{
    do {
        pool_drain(application);
        application->is_armed = true;
        mproc_channel_announce_sleep(&application->channel, MPROC_WORD_TAIL);
    } while (mproc_ring_has_records(&application->channel) &&
             application->is_open);
}

void pool_turn(struct pool_application *application)
{
    bool sent = false;
    eventfd_t rung;

    if (application->is_armed)
        mproc_channel_end_sleep(&application->channel);
    application->is_armed = false;
    eventfd_read(application->bell, &rung);
    pool_drain(application);
    while (submit_next(application))
        sent = true;
    if (sent)
        pool_publish(application);
    pool_arm(application);
}

/* MARK: - Completions */

/* The front record is done: its place in the ring is free. */
static void finish(struct pool_application *application)
{
    struct pool_entry *entry = front(application);

    if (entry->in_arena && !application->is_copy)
        mproc_arena_release(application->arguments, entry->arena_offset);
    if (application->mutant != FREES_WHAT_WAS_TAKEN)
        mproc_ring_set_limit(&application->channel, entry->end);
    application->front++;
}

/* The front record ends with one of its items; those behind it have not run:
 * they are given up, or submitted again. */
static void end_front(struct pool_application *application, uint32_t item,
                      enum pool_outcome outcome)
{
    const struct pool_entry *entry = front(application);

    set_outcome(application, entry->first + item, outcome);
    for (uint32_t i = item + 1; i < entry->count; i++)
        set_outcome(application, entry->first + i, SKIPPED);
    finish(application);
}

static bool receive(struct pool_application *application, uint32_t item,
                    uint32_t count, const uint8_t *bytes, size_t size)
{
    for (uint32_t i = item; i < item + count; i++) {
        size_t expected = pool_items[i].result_size;

        if (size < expected || memcmp(bytes, pool_result(i), expected) != 0)
            return refuse(application, "a wrong result was kept");
        bytes += expected;
        size -= expected;
    }
    if (size != 0)
        return refuse(application, "more bytes than results were kept");
    for (uint32_t i = item; i < item + count; i++)
        set_outcome(application, i, VALUE);
    return true;
}

static bool take_values(struct pool_application *application,
                        const struct completion_header *header,
                        const uint8_t *bytes, size_t size, uint32_t item)
{
    bool early = application->mutant == RELEASES_ARENA_BEFORE_READING;
    struct arena_reference reference;
    const void *view;

    if (!(header->flags & COMPLETION_IN_ARENA))
        return receive(application, item, header->count, bytes, size);
    if (size < sizeof reference)
        return false;
    memcpy(&reference, bytes, sizeof reference);
    if (mproc_arena_view(application->results, reference.offset,
                         reference.size_bytes, &view) != 0)
        return false;
    if (early)
        mproc_channel_set_arena_head(&application->channel,
                                     reference.position);
    if (!receive(application, item, header->count, view,
                 reference.size_bytes))
        return false;
    mproc_channel_set_arena_head(&application->channel, reference.position);
    return true;
}

/* One completion; false when it makes no sense. */
static bool take(struct pool_application *application, const uint8_t *bytes,
                 size_t size, uint32_t kind)
{
    struct pool_entry *entry = front(application);
    struct completion_header header;
    uint32_t item;

    if (application->front == application->end || size < sizeof header)
        return false;
    memcpy(&header, bytes, sizeof header);
    if (header.number != entry->number || header.first != entry->received ||
        header.count < 1 || header.count > entry->count - entry->received)
        return false;
    item = entry->first + header.first;
    if (kind == COMPLETION_VALUES) {
        /* An item without a value ends its record as a failure. */
        if (((header.flags & COMPLETION_LAST) != 0) !=
                (header.count == entry->count - entry->received) ||
            !take_values(application, &header, bytes + sizeof header,
                         size - sizeof header, item))
            return false;
    } else {
        if (kind != COMPLETION_FAILURE || !(header.flags & COMPLETION_LAST))
            return false;
        end_front(application, header.first, FAILURE);
        if (size != sizeof header + 8 ||
            memcmp(bytes + sizeof header, "thrown.", 8) != 0)
            refuse(application, "a wrong failure was kept");
        return true;
    }
    entry->received += header.count;
    if (header.flags & COMPLETION_LAST)
        finish(application);
    return true;
}

void pool_drain(struct pool_application *application)
{
    struct mproc_channel *channel = &application->channel;
    bool is_sound = true, taken = false;
    const void *payload;
    uint32_t kind;
    size_t size;

    while (is_sound) {
        int found = mproc_ring_peek(channel, &payload, &size, &kind);

        if (found == 0)
            break;
        taken = true;
        if (application->mutant == SHOWS_ROOM_BEFORE_READING && found == 1)
            mproc_store_release(&channel->own->head,
                                channel->head + channel->peeked);
        is_sound = found == 1 && take(application, payload, size, kind);
        mproc_ring_consume(channel);
    }
    if (!taken)
        return;
    mproc_ring_publish_head(channel);
    if (mproc_channel_peer_sleeps(channel, MPROC_WORD_HEAD))
        mproc_channel_wake(channel, MPROC_WORD_HEAD);
    if (!is_sound) {
        refuse(application, "a completion made no sense");
        application->is_open = false; /* and the process is killed */
    }
}

/* MARK: - Death */

/* Keeps the results that the cursor counts and no completion brought. */
static void save_partial_results(struct pool_application *application)
{
    struct pool_entry *entry = front(application);
    struct completion_header header;
    const void *payload = NULL;
    uint32_t items, count;
    uint64_t bytes;

    mproc_channel_peer_cursor(&application->channel, &items, &bytes);
    if (application->mutant == KEEPS_RESULTS_TWICE && items > 0)
        entry->received = 0;
    if (items <= entry->received || items > entry->count ||
        bytes < sizeof header ||
        mproc_ring_peek_partial(&application->channel, bytes, &payload) != 1)
        return;
    memcpy(&header, payload, sizeof header);
    count = items - entry->received;
    if (header.number != entry->number || header.first != entry->received ||
        !receive(application, entry->first + entry->received, count,
                 (const uint8_t *)payload + sizeof header,
                 bytes - sizeof header))
        return;
    entry->received += count;
    application->kept += count;
}

/* The item after those that are kept is the one that ran. */
static void charge_crash(struct pool_application *application)
{
    struct pool_entry *entry = front(application);

    if (application->mutant != IGNORES_THE_CURSOR)
        save_partial_results(application);
    if (entry->received < entry->count)
        end_front(application, entry->received, CRASHED);
    else
        finish(application);
}

static void hand_on(struct pool_application *application)
{
    const struct pool_entry *entry = front(application);

    for (uint32_t i = 0; i < entry->count; i++)
        set_outcome(application, entry->first + i, HANDED_ON);
    application->rest[application->rest_count++] = *entry;
    application->front++;
}

void pool_worker_ended(struct pool_application *application)
{
    uint64_t accepted;

    if (application->is_open && application->mutant != LOOKS_BEFORE_DRAINING)
        pool_drain(application);
    application->is_open = false;
    accepted = mproc_channel_peer_accepted(&application->channel);
    while (application->front != application->end) {
        const struct pool_entry *entry = front(application);

        /* What has brought results was begun, whatever the worker says; so
         * was what came before the record that runs. */
        if ((entry->start <= accepted || entry->received > 0) &&
            application->mutant != HANDS_ON_WHAT_RAN)
            charge_crash(application);
        else
            hand_on(application);
    }
}

const void *pool_arguments_of(struct pool_application *application,
                              const struct pool_entry *entry, size_t *size)
{
    const struct mproc_channel *channel = &application->channel;
    const uint8_t *record = channel->own_ring +
                            (entry->start & (channel->own_capacity - 1)) +
                            MPROC_RECORD_HEADER_SIZE;
    struct arena_reference reference;
    const void *bytes;

    record += sizeof(struct task_header);
    *size = (size_t)(entry->end - entry->start) - MPROC_RECORD_HEADER_SIZE -
            sizeof(struct task_header);
    if (!entry->in_arena)
        return record;
    memcpy(&reference, record, sizeof reference);
    REQUIRE(mproc_arena_view(application->arguments, reference.offset,
                             reference.size_bytes, &bytes) == 0);
    *size = reference.size_bytes;
    return bytes;
}
