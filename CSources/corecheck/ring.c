/* The ring in one thread: every offset, every size, the limits. */
#include "check.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAPACITY 4096

/* Around the wrap of 32 and 64 bits, where comparisons of indices go wrong. */
static const uint64_t starts[] = {
    0, (UINT64_C(1) << 32) - 64, (UINT64_C(1) << 63) - 128,
    UINT64_MAX - 4095, UINT64_MAX - 7,
};
#define START_COUNT (sizeof starts / sizeof starts[0])

static void *must_reserve(struct mproc_channel *channel, size_t size)
{
    void *payload = mproc_ring_reserve(channel, size);

    REQUIRE(payload != NULL);
    REQUIRE(((uintptr_t)payload & 7) == 0);
    return payload;
}

static void put(struct mproc_channel *channel, size_t size, uint64_t number)
{
    fill_pattern(must_reserve(channel, size), size, number);
    mproc_ring_commit(channel, size, (uint32_t)number | 1);
    mproc_ring_publish(channel);
}

static void take(struct mproc_channel *channel, size_t size, uint64_t number)
{
    const void *payload;
    uint32_t kind;
    size_t found;

    REQUIRE(mproc_ring_peek(channel, &payload, &found, &kind) == 1);
    REQUIRE(found == size && kind == ((uint32_t)number | 1));
    REQUIRE(has_pattern(payload, size, number));
    mproc_ring_consume(channel);
    mproc_ring_publish_head(channel);
}

static bool is_empty(struct mproc_channel *channel)
{
    const void *payload;
    uint32_t kind;
    size_t size;

    return mproc_ring_peek(channel, &payload, &size, &kind) == 0;
}

/* Every size of record at every place of the ring, wrapped or not. */
static void records_survive_every_offset(void)
{
    for (size_t s = 0; s < START_COUNT; s++) {
        for (size_t skip = 0; skip < CAPACITY / 2 - 8; skip += 8) {
            struct pair pair;
            struct mproc_channel *w = &pair.worker, *a = &pair.application;
            static const size_t sizes[] = {
                0, 1, 7, 8, 9, 100, 1000, CAPACITY / 2 - 9, CAPACITY / 2 - 8,
            };
            size_t size = sizes[(skip / 8 + s) % 9];

            pair_open(&pair, CAPACITY, starts[s], TWO_MAPPINGS);
            put(w, skip, 2);
            take(a, skip, 2);
            for (uint64_t i = 0; i < 12; i++) {
                REQUIRE(mproc_ring_refresh_limit(w) == 0);
                put(w, size, i);
                REQUIRE(w->tail - w->freed <= CAPACITY);
                take(a, size, i);
                REQUIRE(is_empty(a));
                REQUIRE(a->head == w->tail);
            }
            pair_close(&pair);
        }
    }
}

static void full_ring_refuses_and_recovers(void)
{
    for (size_t s = 0; s < START_COUNT; s++) {
        struct pair pair;
        struct mproc_channel *a = &pair.application, *w = &pair.worker;
        uint64_t in = 0, out = 0, second = 0;

        pair_open(&pair, CAPACITY, starts[s], TWO_MAPPINGS);
        while (mproc_ring_reserve(a, 40) != NULL) {
            put(a, 40, in++);
            if (in == 1)
                second = a->tail;
        }
        REQUIRE(in == CAPACITY / 48 || in == CAPACITY / 48 - 1);
        for (; out < in; out++)
            take(w, 40, out);
        /* The worker's head alone frees nothing here: the ledger decides. */
        REQUIRE(mproc_ring_reserve(a, 40) == NULL);
        mproc_ring_set_limit(a, second);
        REQUIRE(mproc_ring_reserve(a, 8) != NULL);
        REQUIRE(mproc_ring_reserve(a, 100) == NULL);
        mproc_ring_set_limit(a, a->tail);
        put(a, 40, in);
        take(w, 40, in);
        pair_close(&pair);
    }
}

static void too_large_is_null_and_commit_beyond_traps(void)
{
    struct pair pair;
    struct mproc_channel *a = &pair.application;
    int status;
    pid_t pid;

    pair_open(&pair, CAPACITY, 0, TWO_MAPPINGS);
    REQUIRE(mproc_ring_max_payload(CAPACITY) == CAPACITY / 2 - 8);
    REQUIRE(mproc_ring_reserve(a, CAPACITY / 2 - 7) == NULL);
    REQUIRE(mproc_ring_reserve(a, SIZE_MAX) == NULL);
    REQUIRE(mproc_ring_reserve(a, SIZE_MAX - 14) == NULL);
    must_reserve(a, 16);
    pid = fork();
    if (pid == 0) {
        mproc_ring_commit(a, 17, 1);
        _exit(0);
    }
    REQUIRE(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
}

static void reserving_again_replaces(void)
{
    struct pair pair;
    struct mproc_channel *a = &pair.application, *w = &pair.worker;
    void *first, *second;

    pair_open(&pair, CAPACITY, UINT64_MAX - 71, TWO_MAPPINGS);
    first = must_reserve(a, 100); /* wraps */
    REQUIRE((uint8_t *)first == a->own_ring + 8);
    second = must_reserve(a, 56); /* does not */
    REQUIRE((uint8_t *)second == a->own_ring + CAPACITY - 64);
    fill_pattern(second, 56, 5);
    mproc_ring_commit(a, 56, 5);
    REQUIRE(a->tail == 56 - 64 + 64 - 56 + UINT64_MAX - 71 + 64);
    REQUIRE(is_empty(w));
    mproc_ring_publish(a);
    take(w, 56, 5);
    REQUIRE(is_empty(w));
}

static void reserve_most_gives_all_contiguous_room(void)
{
    for (size_t s = 0; s < START_COUNT; s++) {
        for (size_t skip = 0; skip <= CAPACITY / 2 - 8; skip += 40) {
            struct pair pair;
            struct mproc_channel *a = &pair.application, *w = &pair.worker;
            uint8_t *payload;
            size_t available = 0;

            pair_open(&pair, CAPACITY, starts[s], TWO_MAPPINGS);
            put(a, skip, 1);
            payload = mproc_ring_reserve_most(a, 24, &available);
            REQUIRE(payload != NULL && available >= 24);
            REQUIRE(available <= mproc_ring_max_payload(CAPACITY));
            REQUIRE(payload + available <= a->own_ring + CAPACITY);
            fill_pattern(payload, available, 9);
            mproc_ring_commit(a, available, 9);
            mproc_ring_publish(a);
            REQUIRE(a->tail - a->freed <= CAPACITY);
            take(w, skip, 1);
            take(w, available, 9);
            pair_close(&pair);
        }
    }
}

static void one_publication_shows_many_records(void)
{
    struct pair pair;
    struct mproc_channel *a = &pair.application, *w = &pair.worker;
    uint64_t position;

    pair_open(&pair, CAPACITY, 0, TWO_MAPPINGS);
    for (uint64_t i = 0; i < 20; i++) {
        fill_pattern(must_reserve(a, i), i, i);
        mproc_ring_commit(a, i, (uint32_t)i | 1);
        REQUIRE(is_empty(w));
    }
    position = a->tail;
    mproc_ring_publish(a);
    for (uint64_t i = 0; i < 20; i++)
        take(w, i, i);
    REQUIRE(is_empty(w) && w->head == position);
}

static void false_heads_are_refused(void)
{
    struct pair pair;
    struct mproc_channel *w = &pair.worker;

    pair_open(&pair, CAPACITY, 0, TWO_MAPPINGS);
    put(w, 24, 1);
    put(w, 24, 2);
    must_reserve(w, 24);
    mproc_ring_commit(w, 24, 3); /* not published */
    pair.a.header->head = 96;
    REQUIRE(mproc_ring_refresh_limit(w) == -EPROTO);
    pair.a.header->head = 64;
    REQUIRE(mproc_ring_refresh_limit(w) == 0 && w->freed == 64);
    pair.a.header->head = 32;
    REQUIRE(mproc_ring_refresh_limit(w) == -EPROTO && w->freed == 64);
}

static void progress_words_cross(void)
{
    struct pair pair;
    struct mproc_channel *a = &pair.application, *w = &pair.worker;
    const void *payload;
    uint32_t items;
    uint64_t bytes;

    pair_open(&pair, CAPACITY, 0, TWO_MAPPINGS);
    REQUIRE(mproc_channel_peer_cpu(a) == -1);
    mproc_channel_set_cpu(w, 0);
    REQUIRE(mproc_channel_peer_cpu(a) == 0);
    mproc_channel_set_accepted(w, UINT64_MAX - 7);
    REQUIRE(mproc_channel_peer_accepted(a) == UINT64_MAX - 7);
    mproc_channel_set_cursor(w, 0xffffff, (UINT64_C(1) << 40) - 1);
    mproc_channel_peer_cursor(a, &items, &bytes);
    REQUIRE(items == 0xffffff && bytes == (UINT64_C(1) << 40) - 1);
    mproc_channel_set_control(a, 77);
    REQUIRE(mproc_channel_peer_control(w) == 77);
    mproc_channel_set_arena_head(a, 1 << 20);
    REQUIRE(mproc_channel_peer_arena_head(w) == 1 << 20);

    REQUIRE(mproc_ring_peek_partial(a, 0, &payload) == 0);
    put(w, 2000, 1);
    take(a, 2000, 1);
    put(w, 1000, 2);
    take(a, 1000, 2);
    REQUIRE(mproc_ring_refresh_limit(w) == 0);
    fill_pattern(must_reserve(w, 1900), 1500, 3); /* wraps */
    mproc_ring_set_partial(w);
    REQUIRE(mproc_ring_peek_partial(a, 1500, &payload) == 1);
    REQUIRE(has_pattern(payload, 1500, 3));
    REQUIRE(mproc_ring_peek_partial(a, CAPACITY - 8, &payload) == 1);
    REQUIRE(mproc_ring_peek_partial(a, CAPACITY - 7, &payload) == -EPROTO);
    mproc_ring_clear_partial(w);
    REQUIRE(mproc_ring_peek_partial(a, 0, &payload) == 0);
}

static void a_sleeper_is_rung_once_and_for_its_reason(void)
{
    struct pair pair;
    struct mproc_channel *a = &pair.application, *w = &pair.worker;

    pair_open(&pair, CAPACITY, 0, TWO_MAPPINGS);
    REQUIRE(!mproc_channel_peer_sleeps(a, MPROC_WORD_TAIL));
    mproc_channel_announce_sleep(w, MPROC_WORD_TAIL);
    REQUIRE((mproc_channel_peer_generation(a) & 1) == 1);
    REQUIRE(!mproc_channel_peer_sleeps(a, MPROC_WORD_HEAD));
    REQUIRE(mproc_channel_peer_sleeps(a, MPROC_WORD_TAIL));
    /* A futex wake that found nobody must not count: it may still come. */
    REQUIRE(mproc_channel_wake(a, MPROC_WORD_TAIL) == 0);
    REQUIRE(mproc_channel_peer_sleeps(a, MPROC_WORD_TAIL));
    mproc_channel_mark_rung(a, MPROC_WORD_TAIL);
    REQUIRE(!mproc_channel_peer_sleeps(a, MPROC_WORD_TAIL));
    mproc_channel_end_sleep(w);
    REQUIRE((mproc_channel_peer_generation(a) & 1) == 0);
    REQUIRE(!mproc_channel_peer_sleeps(a, MPROC_WORD_TAIL));
    mproc_channel_announce_sleep(w, MPROC_WORD_TAIL);
    REQUIRE(mproc_channel_peer_sleeps(a, MPROC_WORD_TAIL));
    mproc_channel_end_sleep(w);
    mproc_channel_announce_sleep(w, MPROC_WORD_HEAD);
    REQUIRE(mproc_channel_peer_sleeps(a, MPROC_WORD_HEAD));
    REQUIRE(!mproc_channel_peer_sleeps(a, MPROC_WORD_TAIL));
}

static void waiting_ends_by_change_or_timeout(void)
{
    struct pair pair;
    struct mproc_channel *a = &pair.application, *w = &pair.worker;

    pair_open(&pair, CAPACITY, UINT64_MAX - 7, TWO_MAPPINGS);
    REQUIRE(mproc_channel_wait(w, MPROC_WORD_TAIL, UINT32_MAX - 7, 1000000) ==
            -ETIMEDOUT);
    REQUIRE(mproc_channel_wait(w, MPROC_WORD_HEAD, UINT32_MAX - 7, 0) ==
            -ETIMEDOUT);
    REQUIRE(mproc_channel_wait(w, MPROC_WORD_CONTROL, 0, 0) == -ETIMEDOUT);
    put(a, 8, 1);
    REQUIRE(mproc_channel_wait(w, MPROC_WORD_TAIL, UINT32_MAX - 7, -1) == 0);
    REQUIRE(mproc_channel_wake(a, MPROC_WORD_TAIL) == 0);
}

const struct check ring_checks[] = {
    {"records survive every offset and size", records_survive_every_offset,
     false},
    {"a full ring refuses, and recovers by the ledger",
     full_ring_refuses_and_recovers, false},
    {"too large is NULL, committing beyond the reservation traps",
     too_large_is_null_and_commit_beyond_traps, false},
    {"reserving again replaces the reservation", reserving_again_replaces,
     false},
    {"reserve_most gives all the contiguous room",
     reserve_most_gives_all_contiguous_room, false},
    {"one publication shows many records", one_publication_shows_many_records,
     false},
    {"false heads are refused", false_heads_are_refused, false},
    {"progress, control and partial results cross", progress_words_cross,
     false},
    {"a sleeper is rung once, and for its reason",
     a_sleeper_is_rung_once_and_for_its_reason, false},
    {"waiting ends by a change or the timeout",
     waiting_ends_by_change_or_timeout, false},
    {NULL, NULL, false},
};
