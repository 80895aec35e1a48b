/*
 * Speed of the rings beside the physical limit: two processes, pinned to the
 * first two CPUs allowed. Each trial is short, bracketed by probes (probe.h),
 * reported for its level, near or far, and as a multiple of its own probe. Kinds
 * of trial alternate. Nothing here is judged.
 */
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mproc_ring.h"
#include "probe.h"

#define CAPACITY (32 * 1024)
#define MAX_TRIALS 1000
/* A consumer at the producer's heels takes each line away while it is filled:
 * waiting a little longer made 64-byte messages 4 times as fast. */
#define STREAM_PAUSES 4

static void fail_unless(int condition, const char *what)
{
    if (!condition) {
        perror(what);
        exit(1);
    }
}

/* Words that the two sides share beside the channel. */
struct shared {
    struct probe probe;
    uint64_t done[16];
    uint32_t turns[2][32]; /* of the bare futex round trip */
};

struct side {
    struct mproc_channel channel;
    struct shared *shared;
    uint64_t probes; /* round trips of the probe so far */
    uint32_t futex_turn;
};

/* MARK: - Kinds of trial: each has a leader and a follower */

#define INLINE static inline __attribute__((always_inline))

INLINE void send_one(struct mproc_channel *channel, const void *bytes,
                     size_t size)
{
    void *room;

    while ((room = mproc_ring_reserve(channel, size)) == NULL) {
        mproc_ring_publish(channel);
        fail_unless(mproc_ring_refresh_limit(channel) == 0, "head");
    }
    memcpy(room, bytes, size);
    mproc_ring_commit(channel, size, 1);
}

/* Steps over one record and returns its first word. */
INLINE uint64_t receive_one(struct mproc_channel *channel, size_t expected,
                            int pauses)
{
    const void *payload;
    uint64_t words[8];
    uint32_t kind;
    size_t size;
    int found;

    while ((found = mproc_ring_peek(channel, &payload, &size, &kind)) == 0)
        for (int i = 0; i < pauses; i++)
            mproc_pause();
    if (found < 0 || size != expected)
        abort();
    memcpy(words, payload, expected);
    mproc_ring_consume(channel);
    if (channel->head % (CAPACITY / 4) < expected + 8)
        mproc_ring_publish_head(channel);
    return words[0];
}

INLINE void stream_lead(struct side *side, uint64_t count, size_t size,
                        uint64_t burst)
{
    struct mproc_channel *channel = &side->channel;
    uint64_t words[8] = {0};

    for (uint64_t i = 0; i < count; i++) {
        words[0] = i;
        send_one(channel, words, size);
        if ((i + 1) % burst == 0)
            mproc_ring_publish(channel);
    }
    mproc_ring_publish(channel);
}

INLINE void stream_follow(struct side *side, uint64_t count, size_t size)
{
    struct mproc_channel *channel = &side->channel;

    for (uint64_t i = 0; i < count; i++)
        if (receive_one(channel, size, STREAM_PAUSES) != i)
            abort();
    mproc_ring_publish_head(channel);
}

INLINE void trip_lead(struct side *side, uint64_t count)
{
    struct mproc_channel *channel = &side->channel;

    for (uint64_t i = 0; i < count; i++) {
        send_one(channel, &i, 8);
        mproc_ring_publish(channel);
        if (receive_one(channel, 8, 1) != i)
            abort();
    }
    mproc_ring_publish_head(channel);
}

INLINE void trip_follow(struct side *side, uint64_t count)
{
    struct mproc_channel *channel = &side->channel;

    for (uint64_t i = 0; i < count; i++) {
        uint64_t word = receive_one(channel, 8, 1);
        send_one(channel, &word, 8);
        mproc_ring_publish(channel);
    }
    mproc_ring_publish_head(channel);
}

/* A round trip as the pool does it: both sides look whether to wake. */
static uint64_t receive_adaptive(struct mproc_channel *channel, unsigned spins)
{
    const void *payload = NULL;
    uint64_t word;
    uint32_t kind;
    size_t size;
    unsigned looks = 0;

    while (mproc_ring_peek(channel, &payload, &size, &kind) != 1) {
        if (looks++ < spins) {
            mproc_pause();
            continue;
        }
        mproc_channel_sleep(channel, MPROC_WORD_TAIL, (uint32_t)channel->head,
                            -1);
    }
    memcpy(&word, payload, sizeof word);
    mproc_ring_consume(channel);
    if (channel->head % (CAPACITY / 4) < 16)
        mproc_ring_publish_head(channel);
    return word;
}

static void send_and_wake(struct mproc_channel *channel, uint64_t word)
{
    send_one(channel, &word, 8);
    mproc_ring_publish(channel);
    if (mproc_channel_peer_sleeps(channel, MPROC_WORD_TAIL))
        mproc_channel_wake(channel, MPROC_WORD_TAIL);
}

static void adaptive(struct side *side, uint64_t count, unsigned spins,
                     int leads)
{
    for (uint64_t i = 0; i < count; i++) {
        if (leads)
            send_and_wake(&side->channel, i);
        if (receive_adaptive(&side->channel, spins) != i)
            abort();
        if (!leads)
            send_and_wake(&side->channel, i);
    }
}

static void trips(struct side *side, uint64_t count, int leads)
{
    if (leads)
        trip_lead(side, count);
    else
        trip_follow(side, count);
}

static void trips_adaptive(struct side *side, uint64_t count, int leads)
{
    adaptive(side, count, 2000, leads);
}

static void await_turn(uint32_t *turn, uint32_t value)
{
    uint32_t seen;

    while ((seen = __atomic_load_n(turn, __ATOMIC_ACQUIRE)) != value)
        syscall(SYS_futex, turn, FUTEX_WAIT, seen, NULL, NULL, 0);
}

static void give_turn(uint32_t *turn, uint32_t value)
{
    __atomic_store_n(turn, value, __ATOMIC_RELEASE);
    syscall(SYS_futex, turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* The least that two processes which sleep can do. */
static void trips_futex(struct side *side, uint64_t count, int leads)
{
    uint32_t *own = side->shared->turns[leads];
    uint32_t *peer = side->shared->turns[!leads];

    for (uint64_t i = 0; i < count; i++) {
        uint32_t value = ++side->futex_turn;
        if (leads)
            give_turn(peer, value);
        await_turn(own, value);
        if (!leads)
            give_turn(peer, value);
    }
}

static void trips_blocking(struct side *side, uint64_t count, int leads)
{
    adaptive(side, count, 0, leads);
}

#define STREAM(name, size, burst)                                              \
    static void name(struct side *side, uint64_t count, int leads)             \
    {                                                                          \
        if (leads)                                                             \
            stream_lead(side, count, size, burst);                             \
        else                                                                   \
            stream_follow(side, count, size);                                  \
    }
STREAM(stream_8, 8, 1)
STREAM(stream_8_bursts, 8, 32)
STREAM(stream_64, 64, 1)
STREAM(stream_64_bursts, 64, 32)

static const struct kind {
    const char *name;
    void (*run)(struct side *side, uint64_t count, int leads);
    uint64_t count;
    int is_rate;
} kinds[] = {
    {"8 B round trip, spinning", trips, 4000, 0},
    {"8 B round trip, spinning, with sleep checks", trips_adaptive, 4000, 0},
    {"futex round trip of 8 B, both sleep", trips_blocking, 100, 0},
    {"futex round trip, bare", trips_futex, 100, 0},
    {"8 B, one publication each", stream_8, 200000, 1},
    {"8 B, bursts of 32", stream_8_bursts, 400000, 1},
    {"64 B, one publication each", stream_64, 100000, 1},
    {"64 B, bursts of 32", stream_64_bursts, 100000, 1},
};
#define KIND_COUNT (sizeof kinds / sizeof kinds[0])

/* MARK: - Trials */

static const char *filter = ""; /* kinds whose name contains it */

static struct result {
    double value[2][MAX_TRIALS], ratio[2][MAX_TRIALS];
    int count[2];
} results[KIND_COUNT];

static void follow(struct side *side, int trials)
{
    for (int trial = 0; trial < trials; trial++) {
        for (size_t k = 0; k < KIND_COUNT; k++) {
            if (strstr(kinds[k].name, filter) == NULL)
                continue;
            probe_follow(&side->shared->probe, &side->probes);
            kinds[k].run(side, kinds[k].count, 0);
            mproc_store_release(&side->shared->done[0],
                                (uint64_t)trial * KIND_COUNT + k + 1);
            probe_follow(&side->shared->probe, &side->probes);
        }
    }
}

static void lead(struct side *side, int trials)
{
    for (int trial = 0; trial < trials; trial++) {
        for (size_t k = 0; k < KIND_COUNT; k++) {
            double before, begin, each, after;
            struct result *r = &results[k];
            int level;

            if (strstr(kinds[k].name, filter) == NULL)
                continue;
            before = probe_lead(&side->shared->probe, &side->probes);
            begin = now_ns();
            kinds[k].run(side, kinds[k].count, 1);
            while (mproc_load_acquire(&side->shared->done[0]) !=
                   (uint64_t)trial * KIND_COUNT + k + 1)
                ;
            each = (now_ns() - begin) / (double)kinds[k].count;
            after = probe_lead(&side->shared->probe, &side->probes);
            level = level_of(before, after);
            if (level < 0)
                continue;
            r->value[level][r->count[level]] = kinds[k].is_rate ? 1e3 / each
                                                                : each;
            r->ratio[level][r->count[level]++] = each / ((before + after) / 2);
        }
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void report(void)
{
    static const char *const levels[] = {"near", "far"};

    for (int level = 0; level < 2; level++) {
        for (size_t k = 0; k < KIND_COUNT; k++) {
            struct result *r = &results[k];
            int n = r->count[level];

            if (n < 3)
                continue;
            qsort(r->value[level], (size_t)n, 8, ascending);
            qsort(r->ratio[level], (size_t)n, 8, ascending);
            printf("%-4s %-44s best %9.1f median %9.1f %-7s probe x %.3f "
                   "(n = %d)\n", levels[level], kinds[k].name,
                   r->value[level][kinds[k].is_rate ? n - 1 : 0],
                   r->value[level][n / 2], kinds[k].is_rate ? "M/s" : "ns",
                   r->ratio[level][n / 2], n);
        }
    }
}

/* The n-th CPU that this process may use. */
static void pin_to(int nth)
{
    cpu_set_t all, one;

    fail_unless(sched_getaffinity(0, sizeof all, &all) == 0, "affinity");
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET((size_t)cpu, &all) || nth-- > 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET((size_t)cpu, &one);
        fail_unless(sched_setaffinity(0, sizeof one, &one) == 0, "affinity");
        return;
    }
    fprintf(stderr, "two CPUs are needed\n");
    exit(1);
}

static void open_side(struct side *side, int own_fd, int peer_fd)
{
    struct mproc_segment own, peer;
    const int flags = MPROC_SEGMENT_POPULATE;

    fail_unless(mproc_segment_map(own_fd, flags | MPROC_SEGMENT_WRITABLE,
                                  &own) == 0, "map");
    fail_unless(mproc_segment_map(peer_fd, flags, &peer) == 0, "map");
    fail_unless(mproc_channel_open(&side->channel, &own, &peer) == 0, "open");
}

int main(int argc, char **argv)
{
    int trials = argc > 1 ? atoi(argv[1]) : 150, status;
    int a = mproc_segment_create(CAPACITY, 0, MPROC_NODE_ANY);
    int b = mproc_segment_create(CAPACITY, 0, MPROC_NODE_ANY);
    struct side side = {0};
    pid_t pid;

    if (argc > 2)
        filter = argv[2];
    if (trials < 1 || trials > MAX_TRIALS)
        trials = MAX_TRIALS;
    fail_unless(a >= 0 && b >= 0, "segments");
    side.shared = mmap(NULL, sizeof *side.shared, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    fail_unless(side.shared != MAP_FAILED, "mmap");
    pid = fork();
    fail_unless(pid >= 0, "fork");
    if (pid == 0) {
        pin_to(1);
        open_side(&side, b, a);
        follow(&side, trials);
        _exit(0);
    }
    pin_to(0);
    open_side(&side, a, b);
    lead(&side, trials);
    fail_unless(waitpid(pid, &status, 0) == pid && status == 0, "follower");
    report();
    return 0;
}
