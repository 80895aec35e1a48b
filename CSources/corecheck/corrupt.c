/*
 * A hostile peer: the reader's functions over memory that is changed in every
 * way. The peer's segment lies between two inaccessible areas, so that a read
 * outside of it ends the check.
 */
#include "check.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAPACITY 4096
#define GUARD 65536
#define PEER_WORDS ((4096 + CAPACITY) / 8)

struct target {
    struct mproc_segment own, peer;
    struct mproc_channel channel; /* of the reader */
    struct mproc_channel writer;  /* of the honest peer, for the start */
    uint64_t *words;
    uint64_t good[PEER_WORDS];
};

static void segment_between_guards(struct mproc_segment *segment,
                                   uint64_t start)
{
    uint8_t *area = mmap(NULL, 4096 + CAPACITY + 2 * GUARD, PROT_NONE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    REQUIRE(area != MAP_FAILED);
    REQUIRE(mprotect(area + GUARD, 4096 + CAPACITY, PROT_READ | PROT_WRITE) ==
            0);
    segment->header = (void *)(area + GUARD);
    segment->mapped_bytes = 4096 + CAPACITY;
    segment->ring_capacity = CAPACITY;
    segment->start = start;
    segment->header->tail = segment->header->head = start;
}

/* A ring with records of several sizes, one of them after padding, and behind
 * them one that is still being written. */
static void target_open(struct target *target, uint64_t start)
{
    static const size_t sizes[] = {8, 0, 100, 24, 1000, 1, 64};
    const void *payload;
    uint32_t kind;
    size_t size;

    memset(target, 0, sizeof *target);
    segment_between_guards(&target->own, start);
    segment_between_guards(&target->peer, start);
    REQUIRE(mproc_channel_open(&target->channel, &target->own,
                               &target->peer) == 0);
    REQUIRE(mproc_channel_open(&target->writer, &target->peer,
                               &target->own) == 0);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            void *room = mproc_ring_reserve(&target->writer, sizes[i]);
            REQUIRE(room != NULL);
            memset(room, 0xff, sizes[i]);
            mproc_ring_commit(&target->writer, sizes[i], (uint32_t)i + 1);
        }
        mproc_ring_publish(&target->writer);
        while (round < 2 &&
               mproc_ring_peek(&target->channel, &payload, &size, &kind) == 1)
            mproc_ring_consume(&target->channel);
        mproc_ring_publish_head(&target->channel);
        REQUIRE(mproc_ring_refresh_limit(&target->writer) == 0);
    }
    REQUIRE(mproc_ring_reserve(&target->writer, 400) != NULL);
    mproc_ring_set_partial(&target->writer);
    mproc_channel_set_cursor(&target->writer, 3, 360);
    mproc_channel_set_accepted(&target->writer, start);
    mproc_channel_set_cpu(&target->writer, 1);
    target->words = (uint64_t *)target->peer.header;
    memcpy(target->good, target->words, sizeof target->good);
}

static volatile uint8_t sink;
static long partials; /* found */

/* Everything that a reader does, with every byte it is given read. */
static void read_all(struct target *target, const struct mproc_channel *saved)
{
    struct mproc_channel channel = *saved;
    const uint8_t *ring = channel.peer_ring;
    const void *payload;
    uint32_t kind, items;
    uint64_t bytes;
    size_t size, records = 0, total = 0;
    int found;

    while ((found = mproc_ring_peek(&channel, &payload, &size, &kind)) == 1) {
        const uint8_t *at = payload;
        REQUIRE(at >= ring + 8 && size <= CAPACITY - 8);
        REQUIRE(at + size <= ring + CAPACITY);
        REQUIRE(kind != MPROC_KIND_PADDING);
        for (size_t i = 0; i < size; i++)
            sink = at[i];
        total += 8 + size;
        records++;
        REQUIRE(records <= CAPACITY / 8 && total <= CAPACITY);
        mproc_ring_consume(&channel);
    }
    REQUIRE(found == 0 || found == -EPROTO);
    mproc_channel_peer_cursor(&channel, &items, &bytes);
    found = mproc_ring_peek_partial(&channel, bytes, &payload);
    REQUIRE(found == 0 || found == 1 || found == -EPROTO);
    partials += found == 1;
    for (size_t i = 0; found == 1 && i < bytes; i++)
        sink = ((const uint8_t *)payload)[i];
    found = mproc_ring_refresh_limit(&channel);
    REQUIRE(found == 0 || found == -EPROTO);
    REQUIRE(channel.freed - target->own.start <=
            channel.published - target->own.start);
    REQUIRE(mproc_channel_peer_cpu(&channel) >= -1);
    mproc_channel_peer_sleeps(&channel, MPROC_WORD_TAIL);
}


uint64_t plausible_word(uint64_t good, uint64_t *random)
{
    uint64_t value = next_random(random);
    uint64_t small = (value >> 8) % 9;
    static const uint64_t edges[] = {
        0, 1, 7, 8, 9, 16, CAPACITY - 8, CAPACITY - 1, CAPACITY, CAPACITY + 8,
        UINT32_MAX, UINT64_C(1) << 32, (UINT64_C(1) << 32) + 8, UINT64_MAX,
        (UINT64_C(1) << 32) | UINT32_MAX, (UINT64_C(1) << 32) | 0xfffffff9,
    };

    switch (value & 7) {
    case 0:
        return good + small;
    case 1:
        return good - small;
    case 2:
        return good + 8 * (small - 4);
    case 3:
        return good + (value >> 12) % (2 * CAPACITY) - CAPACITY;
    case 4:
        return edges[(value >> 8) % (sizeof edges / sizeof edges[0])];
    case 5:
        return (good & ~(uint64_t)UINT32_MAX) | ((value >> 8) % CAPACITY);
    case 6:
        return good & UINT32_MAX;
    default:
        return next_random(random);
    }
}

static void one_word_false(void)
{
    static struct target target;
    uint64_t random = 12345;

    for (uint64_t start = 0; start < 4; start++) {
        struct mproc_channel saved;

        target_open(&target, UINT64_MAX - 7 - start * 1000 / 8 * 8);
        saved = target.channel;
        read_all(&target, &saved);
        for (size_t word = 16; word < PEER_WORDS; word++) {
            if (word >= 120 && word < 512)
                continue; /* the crash record and reserved bytes */
            for (int i = 0; i < (UNDER_SANITIZER ? 100 : 500); i++) {
                target.words[word] = plausible_word(target.good[word], &random);
                read_all(&target, &saved);
            }
            target.words[word] = target.good[word];
        }
    }
}

/* The words of the header that a reader reads; the first two are read
 * together, and most often. */
static size_t header_word(uint64_t pick)
{
    static const size_t offsets[] = {
        offsetof(struct mproc_segment_header, cursor),
        offsetof(struct mproc_segment_header, partial),
        offsetof(struct mproc_segment_header, cursor),
        offsetof(struct mproc_segment_header, partial),
        offsetof(struct mproc_segment_header, tail),
        offsetof(struct mproc_segment_header, head),
        offsetof(struct mproc_segment_header, arena_head),
        offsetof(struct mproc_segment_header, sleeping),
        offsetof(struct mproc_segment_header, accepted),
        offsetof(struct mproc_segment_header, control),
        offsetof(struct mproc_segment_header, cpu),
    };

    return offsets[pick % (sizeof offsets / sizeof offsets[0])] / 8;
}

static void several_words_false(void)
{
    static struct target target;
    uint64_t random = 777;
    struct mproc_channel saved;

    target_open(&target, 1504);
    saved = target.channel;
    for (int i = 0; i < (UNDER_SANITIZER ? 50000 : 300000); i++) {
        uint64_t count = next_random(&random) % 6 + 1;

        for (uint64_t k = 0; k < count; k++) {
            uint64_t pick = next_random(&random) >> 8;
            size_t word = (pick & 1) ? header_word(pick >> 1)
                                     : 512 + (pick >> 1) % (CAPACITY / 8);
            target.words[word] = plausible_word(target.good[word], &random);
        }
        read_all(&target, &saved);
        if (i % 16 == 0)
            memcpy(target.words, target.good, sizeof target.good);
    }
    REQUIRE(partials > 1000);
}

/* The peer writes while we read: what was checked may change at once. */
static void a_peer_that_scribbles(void)
{
    static struct target target;
    struct mproc_channel saved;
    uint64_t random = 99;
    volatile uint64_t *words;
    pid_t pid;

    target_open(&target, UINT64_MAX - 2047);
    saved = target.channel;
    words = target.words;
    pid = fork();
    if (pid == 0) {
        alarm(60);
        for (;;) {
            uint64_t pick = next_random(&random) >> 8;
            size_t word = (pick & 1) ? 16 : 512 + (pick >> 1) % (CAPACITY / 8);
            words[word] = plausible_word(target.good[word], &random);
            words[word] = target.good[word];
        }
    }
    REQUIRE(pid > 0);
    for (int i = 0; i < (UNDER_SANITIZER ? 100000 : 500000); i++)
        read_all(&target, &saved);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* Padding is the one record that moves the reader without being returned. */
static void false_padding_is_refused(void)
{
    static struct target target;
    struct mproc_channel channel;
    const void *payload;
    uint32_t kind;
    size_t size;
    static const uint64_t words[] = {0, 8, CAPACITY - 8, CAPACITY, 16};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        target_open(&target, 1504);
        channel = target.channel;
        REQUIRE(CAPACITY - channel.head % CAPACITY == 64);
        target.words[512 + channel.head % CAPACITY / 8] = words[i];
        REQUIRE(mproc_ring_peek(&channel, &payload, &size, &kind) == -EPROTO);
        REQUIRE(channel.head == target.channel.head);
    }
}

const struct check corrupt_checks[] = {
    {"false padding is refused", false_padding_is_refused, false},
    {"no single false word leads out of the ring", one_word_false, false},
    {"no set of false words leads out of the ring", several_words_false,
     false},
    {"a peer that scribbles while we read leads nowhere",
     a_peer_that_scribbles, UNDER_TSAN},
    {NULL, NULL, false},
};
