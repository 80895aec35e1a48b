/* An exchange, the survey of it after a death, and the dead one's successor. */
#include "exchange.h"

#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define PATIENCE_NS INT64_C(1000000)

/* MARK: - Waiting */

/* As a worker waits, but never for ever: who could wake it may be stopped. */
static void wait_in_the_kernel(struct pool_worker *worker,
                               enum mproc_channel_word word, uint32_t observed)
{
    if (word == MPROC_WORD_CONTROL)
        usleep(100);
    else
        mproc_channel_sleep(&worker->channel, word, observed, PATIENCE_NS);
}

/* The successor runs in the application's own process. */
static void wait_for_ourselves(struct pool_worker *worker,
                               enum mproc_channel_word word, uint32_t observed)
{
    (void)observed;
    if (word == MPROC_WORD_TAIL)
        worker->stopped = true;
    else
        pool_drain(worker->wait_context);
}

/* MARK: - Opening */

#define GUARD 65536
#define SEGMENT_BYTES (MPROC_SEGMENT_RING_OFFSET + POOL_CAPACITY)

/* A read outside of the segment ends the check. */
static void put_between_guards(int fd, struct mproc_segment *reader)
{
    uint8_t *area = mmap(NULL, SEGMENT_BYTES + 2 * GUARD, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    REQUIRE(area != MAP_FAILED);
    munmap(reader->header, reader->mapped_bytes);
    reader->header = (void *)(area + GUARD);
    REQUIRE(mmap(reader->header, SEGMENT_BYTES, PROT_READ,
                 MAP_SHARED | MAP_FIXED, fd, 0) == reader->header);
}

static void open_channels(struct pair *pair, uint64_t start)
{
    pair_open(pair, POOL_CAPACITY, start, TWO_MAPPINGS);
    put_between_guards(pair->a_fd, &pair->a_reader);
    put_between_guards(pair->b_fd, &pair->b_reader);
    REQUIRE(mproc_channel_open(&pair->application, &pair->a,
                               &pair->b_reader) == 0);
    REQUIRE(mproc_channel_open(&pair->worker, &pair->b, &pair->a_reader) == 0);
}

static void close_channels(struct pair *pair)
{
    uint8_t *a = (uint8_t *)pair->a_reader.header - GUARD;
    uint8_t *b = (uint8_t *)pair->b_reader.header - GUARD;

    pair_close(pair);
    munmap(a, SEGMENT_BYTES + 2 * GUARD);
    munmap(b, SEGMENT_BYTES + 2 * GUARD);
}

static void open_arena(uint64_t size_bytes, struct mproc_arena **writer,
                       struct mproc_arena **reader)
{
    int fd = mproc_arena_create(size_bytes, MPROC_NODE_ANY);
    int reader_fd = mproc_arena_reader(fd);

    REQUIRE(fd >= 0 && reader_fd >= 0);
    REQUIRE(mproc_arena_open(fd, 1, writer) == 0);
    REQUIRE(mproc_arena_open(reader_fd, 0, reader) == 0);
}

static struct exchange *open_one(const struct exchange_options *options)
{
    struct exchange *exchange =
        mmap(NULL, sizeof *exchange, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct pool_application *application = &exchange->application;
    struct pool_worker *worker = &exchange->worker;

    REQUIRE(exchange != MAP_FAILED);
    exchange->options = *options;
    open_channels(&exchange->pair, options->start);
    application->channel = exchange->pair.application;
    worker->channel = exchange->pair.worker;
    open_arena(options->arena_bytes, &application->arguments,
               &worker->arguments);
    open_arena(options->arena_bytes, &worker->results,
               &application->results);
    application->bell = worker->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    REQUIRE(application->bell >= 0);
    application->is_open = true;
    application->window = options->window;
    worker->truth = &exchange->truth;
    worker->wait = wait_in_the_kernel;
    return exchange;
}

struct exchange *exchange_open(const struct exchange_options *options)
{
    struct exchange *exchange = open_one(options);

    exchange->successor = open_one(options);
    exchange->successor->worker.wait = wait_for_ourselves;
    exchange->successor->worker.wait_context =
        &exchange->successor->application;
    return exchange;
}

static void close_one(struct exchange *exchange)
{
    mproc_arena_close(exchange->application.arguments);
    mproc_arena_close(exchange->application.results);
    mproc_arena_close(exchange->worker.arguments);
    mproc_arena_close(exchange->worker.results);
    close(exchange->application.bell);
    close_channels(&exchange->pair);
    munmap(exchange, sizeof *exchange);
}

void exchange_close(struct exchange *exchange)
{
    close_one(exchange->successor);
    close_one(exchange);
}

/* MARK: - Running */

void exchange_run_worker(void *context)
{
    struct exchange *exchange = context;

    pool_worker_serve(&exchange->worker);
}

void exchange_take_turn(void *context)
{
    struct exchange *exchange = context;
    struct pool_application *application = &exchange->application;
    uint64_t asleep =
        mproc_channel_peer_generation(&application->channel) & 1;

    if (exchange->options.mode == LAZY) {
        if (!asleep && !exchange->truth.waits)
            return;
        if (exchange->waited++ < exchange->options.delay)
            return;
        exchange->waited = 0;
    }
    pool_turn(application);
}

void exchange_require_complete(const struct exchange *exchange)
{
    const struct pool_application *application = &exchange->application;

    if (application->wrong != NULL)
        fprintf(stderr, "at the end: %s\n", application->wrong);
    REQUIRE(application->wrong == NULL && !exchange->truth.damaged);
    REQUIRE(application->submitted == POOL_RECORDS);
    REQUIRE(application->front == application->end);
    REQUIRE(application->channel.tail / POOL_CAPACITY >
            exchange->pair.a.start / POOL_CAPACITY);
    REQUIRE(application->channel.head / POOL_CAPACITY >
            exchange->pair.b.start / POOL_CAPACITY);
    for (uint32_t i = 0; i < POOL_ITEMS; i++) {
        uint8_t outcome = application->outcome[i];
        bool follows = i > 0 && (application->outcome[i - 1] == FAILURE ||
                                 application->outcome[i - 1] == SKIPPED);

        REQUIRE(outcome == VALUE || outcome == FAILURE ||
                (outcome == SKIPPED && follows));
        REQUIRE((outcome == FAILURE) ==
                (pool_items[i].throws && outcome != SKIPPED));
    }
}

/* MARK: - The successor */

static void run_successor(struct exchange *successor)
{
    successor->worker.stopped = false;
    pool_worker_serve(&successor->worker);
    pool_drain(&successor->application);
}

/* The items of a record that was handed on have come back, once. */
static const char *verdict_on_handed_on(const struct exchange *successor,
                                        const struct pool_entry *entry)
{
    bool ended = false;

    for (uint32_t i = entry->first; i < entry->first + entry->count; i++) {
        uint8_t outcome = successor->application.outcome[i];

        if (ended ? outcome != SKIPPED
                  : outcome != (pool_items[i].throws ? FAILURE : VALUE))
            return "an item that was handed on got no right result";
        ended |= pool_items[i].throws;
    }
    return NULL;
}

/* What was not begun goes to another worker, in new memory. */
static const char *hand_on(struct exchange *successor,
                           struct pool_application *dead)
{
    struct pool_application *application = &successor->application;
    const char *wrong = NULL;

    memset(application->outcome, NONE, sizeof application->outcome);
    memset(&successor->truth, 0, sizeof successor->truth);
    for (uint32_t at = 0; at < dead->rest_count; at++) {
        const struct pool_entry *entry = &dead->rest[at];
        size_t size;
        const void *bytes = pool_arguments_of(dead, entry, &size);

        while (!pool_submit(application, entry->first, entry->count, bytes,
                            size)) {
            REQUIRE(application->front != application->end);
            pool_publish(application);
            run_successor(successor);
        }
    }
    pool_publish(application);
    run_successor(successor);
    for (uint32_t at = 0; at < dead->rest_count && wrong == NULL; at++)
        wrong = verdict_on_handed_on(successor, &dead->rest[at]);
    if (wrong == NULL && application->front != application->end)
        wrong = "a record that was handed on has not ended";
    if (wrong == NULL && successor->truth.damaged)
        wrong = "the successor was shown what nobody sent";
    return wrong != NULL ? wrong : application->wrong;
}

/* MARK: - The survey */

static void look(struct exchange *exchange,
                 const struct pool_application *after)
{
    uint64_t sleeping = mproc_channel_peer_generation(&after->channel) & 3;
    struct exchange_seen *seen = &exchange->seen;

    seen->kept += after->kept > 0;
    seen->handed_on += after->rest_count > 0;
    seen->idle += sleeping == (MPROC_WORD_TAIL << 1 | 1);
    seen->no_room += sleeping == (MPROC_WORD_HEAD << 1 | 1);
    seen->no_arena += exchange->truth.waits != 0;
    for (uint32_t i = 0; i < POOL_ITEMS; i++)
        seen->charged += after->outcome[i] == CRASHED;
}

void exchange_add_seen(struct exchange_seen *sum,
                       const struct exchange *exchange)
{
    const struct exchange_seen *seen = &exchange->seen;

    sum->charged += seen->charged;
    sum->kept += seen->kept;
    sum->handed_on += seen->handed_on;
    sum->idle += seen->idle;
    sum->no_room += seen->no_room;
    sum->no_arena += seen->no_arena;
}

/* What the application would do, done by a copy of it; what the copy writes
 * into shared memory is taken back, for the worker that goes on. */
static const char *survey(struct exchange *exchange)
{
    struct pool_application after = exchange->application;
    struct mproc_segment_header *own = after.channel.own;
    uint64_t head = own->head, arena_head = own->arena_head;
    const char *wrong;

    after.is_copy = true;
    pool_worker_ended(&after);
    look(exchange, &after);
    wrong = pool_verdict(&after, &exchange->truth);
    if (wrong == NULL)
        wrong = hand_on(exchange->successor, &after);
    mproc_store_release(&own->head, head);
    mproc_store_release(&own->arena_head, arena_head);
    return wrong;
}

void exchange_survey(void *context)
{
    struct exchange *exchange = context;
    const char *wrong = survey(exchange);

    exchange->points++;
    if (wrong != NULL) {
        exchange->bad++;
        if (exchange->wrong == NULL)
            exchange->wrong = wrong;
        if (!exchange->is_quiet) {
            fprintf(stderr, "killed at point %ld: %s\n", exchange->points,
                    wrong);
            _exit(1);
        }
    }
    if (exchange->application.wrong != NULL)
        exchange->worker.stopped = true; /* a mutant: it makes no sense now */
    else
        exchange_take_turn(exchange);
}
