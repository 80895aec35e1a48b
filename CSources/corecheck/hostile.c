/*
 * A worker that writes anything and dies. At stops of an honest exchange some
 * words that it owns are changed; the application, which then does what it
 * does after a death, must read nothing outside of the ring and give every
 * item one outcome. What a hostile worker says of its own items may be false.
 */
#include "check.h"

#include <string.h>

#include "exchange.h"
#include "step.h"

#define START (POOL_CAPACITY + 3400)

static long deaths, kept, charged;

/* Of those that the application reads, and the ring. */
static uint64_t *pick_word(struct exchange *exchange, uint64_t *random)
{
    struct mproc_segment_header *header = exchange->pair.b.header;
    const struct mproc_channel *reader = &exchange->application.channel;
    uint64_t *const words[] = {
        &header->tail,   &header->accepted, &header->cursor,
        &header->cursor, &header->partial,  &header->sleeping,
    };
    uint64_t *ring =
        (uint64_t *)(void *)((uint8_t *)header + MPROC_SEGMENT_RING_OFFSET);
    uint64_t pick = next_random(random) >> 8;
    uint64_t place = reader->head + (pick >> 4) % 400 * 8;

    switch (pick & 3) {
    case 0:
        return words[(pick >> 4) % (sizeof words / sizeof words[0])];
    case 1: /* what is read first */
        return &ring[(reader->head / 8 + (pick >> 4) % 8) %
                     (POOL_CAPACITY / 8)];
    default:
        return &ring[place / 8 % (POOL_CAPACITY / 8)];
    }
}

/* A word that names a record or a number of its items is likely a true one. */
static void falsify(struct exchange *exchange, uint64_t *random)
{
    struct pool_application *application = &exchange->application;
    struct mproc_segment_header *header = exchange->pair.b.header;
    uint64_t *word = pick_word(exchange, random);
    uint64_t pick = next_random(random) >> 8;

    if (word == &header->accepted && (pick & 1))
        *word = application->outstanding[(pick >> 1) % POOL_RECORDS].start;
    else if (word == &header->partial && (pick & 1))
        *word = application->channel.head + (pick >> 1) % 64 * 8 + 1;
    else
        *word = plausible_word(*word, random);
}

static void require_sound(struct pool_application *after)
{
    if (after->wrong != NULL)
        fprintf(stderr, "after %ld deaths: %s\n", deaths, after->wrong);
    REQUIRE(after->wrong == NULL);
    for (uint32_t i = 0; i < after->submitted; i++)
        for (uint32_t k = 0; k < pool_records[i].count; k++) {
            uint8_t outcome = after->outcome[pool_records[i].first + k];

            REQUIRE(outcome != NONE);
            charged += outcome == CRASHED;
        }
    for (uint32_t i = 0; i < after->rest_count; i++) {
        const struct pool_entry *entry = &after->rest[i];
        size_t size, item_size;
        const uint8_t *bytes = pool_arguments_of(after, entry, &size);

        /* It may have run, if what it says of itself is true. */
        REQUIRE(entry->start > after->channel.peer->accepted);
        for (uint32_t k = entry->first; k < entry->first + entry->count; k++) {
            item_size = pool_items[k].argument_size;
            REQUIRE(item_size <= size);
            REQUIRE(memcmp(bytes, pool_argument(k), item_size) == 0);
            bytes += item_size;
            size -= item_size;
        }
    }
}

static void die_of_nonsense(void *context)
{
    const long count = whole_sweep ? 2000 : UNDER_SANITIZER ? 20 : 200;
    struct exchange *exchange = context;
    struct mproc_segment_header *own = exchange->pair.a.header;
    uint64_t head = own->head, arena_head = own->arena_head;
    static uint64_t good[(MPROC_SEGMENT_RING_OFFSET + POOL_CAPACITY) / 8];
    static uint64_t random = 4711;

    memcpy(good, exchange->pair.b.header, sizeof good);
    for (long i = 0; i < count; i++) {
        struct pool_application after = exchange->application;

        after.is_copy = after.suspects = true;
        for (uint64_t k = next_random(&random) % 5 + 1; k > 0; k--)
            falsify(exchange, &random);
        pool_worker_ended(&after);
        deaths++;
        kept += after.kept > 0;
        require_sound(&after);
        memcpy(exchange->pair.b.header, good, sizeof good);
        own->head = head;
        own->arena_head = arena_head;
    }
    exchange_take_turn(exchange);
}

static void one_outcome_whatever_was_written(void)
{
    const struct exchange_options options = {LAZY, 5, POOL_ARENA, POOL_WINDOW,
                                             START};
    const enum step_way way = step_way_here();
    struct exchange *exchange;
    struct step_plan plan = {.body = exchange_run_worker,
                             .at_step = die_of_nonsense, .stride = 61};

    pool_script_prepare();
    plan.context = exchange = exchange_open(&options);
    pool_turn(&exchange->application);
    step_through(way, &plan);
    printf("       %ld deaths, %ld charge an item, %ld save results\n",
           deaths, charged, kept);
    REQUIRE(charged > 0 && kept > 0);
    exchange_close(exchange);
}

const struct check hostile_checks[] = {
    {"every item has one outcome whatever a dead worker wrote",
     one_outcome_whatever_was_written, UNDER_TSAN},
    {NULL, NULL, false},
};
