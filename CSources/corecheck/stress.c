/*
 * Both sides at once: every record checked byte by byte, both rings full and
 * empty over and over, both sides asleep as often as possible. A lost wake-up
 * is a wait that times out, which fails.
 */
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#define CAPACITY 4096
#define LEDGER 1024
#define SCALE (UNDER_SANITIZER ? 2 : 15)
#define LOST_NS INT64_C(30000000000)

struct plan {
    uint64_t count;
    unsigned spins;  /* looks before sleeping */
    bool sleeps;     /* false: yields instead */
    unsigned window; /* most records in flight */
    bool large;      /* sizes up to the maximum, else 8 bytes */
};

struct side {
    struct mproc_channel *channel;
    const struct plan *plan;
};

static size_t size_of(const struct plan *plan, uint64_t number, uint64_t salt)
{
    uint64_t state = (number + 1) * 0x9e3779b97f4a7c15u + salt;
    uint64_t value = next_random(&state) >> 8;

    if (!plan->large)
        return 8;
    switch (value & 31) {
    case 0:
        return (size_t)mproc_ring_max_payload(CAPACITY) - (value >> 5) % 9;
    case 1 ... 8:
        return (size_t)(value >> 5) % 600 + 8;
    default:
        return (size_t)(value >> 5) % 64 + 8;
    }
}

static void ring_doorbell(struct mproc_channel *channel,
                          enum mproc_channel_word word)
{
    if (mproc_channel_peer_sleeps(channel, word))
        REQUIRE(mproc_channel_wake(channel, word) >= 0);
}

static void show_all(struct mproc_channel *channel)
{
    if (channel->published != channel->tail) {
        mproc_ring_publish(channel);
        ring_doorbell(channel, MPROC_WORD_TAIL);
    }
}

/* Waits until peek returns a record. */
static size_t await_record(const struct side *side, const void **payload,
                           uint32_t *kind)
{
    struct mproc_channel *channel = side->channel;
    unsigned looks = 0;
    size_t size;
    int found;

    while ((found = mproc_ring_peek(channel, payload, &size, kind)) == 0) {
        show_all(channel);
        if (looks++ < side->plan->spins) {
            mproc_pause();
            continue;
        }
        looks = 0;
        if (!side->plan->sleeps) {
            sched_yield();
            continue;
        }
        mproc_channel_announce_sleep(channel, MPROC_WORD_TAIL);
        found = mproc_ring_peek(channel, payload, &size, kind);
        if (found == 0)
            REQUIRE(mproc_channel_wait(channel, MPROC_WORD_TAIL,
                                       (uint32_t)channel->head, LOST_NS) == 0);
        mproc_channel_end_sleep(channel);
    }
    REQUIRE(found == 1);
    return size;
}

/* The worker's side of waiting for room. */
static void *await_room(const struct side *side, size_t size)
{
    struct mproc_channel *channel = side->channel;
    unsigned looks = 0;
    void *payload;

    while ((payload = mproc_ring_reserve(channel, size)) == NULL) {
        REQUIRE(mproc_ring_refresh_limit(channel) == 0);
        if (mproc_ring_reserve(channel, size) != NULL)
            continue;
        show_all(channel);
        if (looks++ < side->plan->spins) {
            mproc_pause();
            continue;
        }
        looks = 0;
        if (!side->plan->sleeps) {
            sched_yield();
            continue;
        }
        REQUIRE(mproc_channel_sleep(channel, MPROC_WORD_HEAD,
                                    (uint32_t)channel->freed, LOST_NS) == 0);
    }
    return payload;
}

static void *work(void *argument)
{
    const struct side *side = argument;
    struct mproc_channel *channel = side->channel;
    const struct plan *plan = side->plan;

    for (uint64_t number = 0; number < plan->count; number++) {
        const void *payload;
        uint32_t kind;
        size_t size = await_record(side, &payload, &kind);
        size_t reply = size_of(plan, number, 1);
        void *room;

        REQUIRE(size == size_of(plan, number, 0));
        REQUIRE(kind == (uint32_t)number + 1);
        REQUIRE(has_pattern(payload, size, number));
        mproc_ring_consume(channel);
        mproc_ring_publish_head(channel);
        room = await_room(side, reply);
        fill_pattern(room, reply, ~number);
        mproc_ring_commit(channel, reply, (uint32_t)number + 1);
        if ((number & 3) != 0 || number + 1 == plan->count)
            show_all(channel);
    }
    return NULL;
}

static void apply(const struct side *side)
{
    struct mproc_channel *channel = side->channel;
    const struct plan *plan = side->plan;
    uint64_t ledger[LEDGER];
    uint64_t sent = 0, done = 0;

    while (done < plan->count) {
        const void *payload;
        uint32_t kind;
        size_t size;

        while (sent < plan->count && sent - done < plan->window) {
            size = size_of(plan, sent, 0);
            void *room = mproc_ring_reserve(channel, size);
            if (room == NULL)
                break;
            fill_pattern(room, size, sent);
            mproc_ring_commit(channel, size, (uint32_t)sent + 1);
            ledger[sent++ % LEDGER] = channel->tail;
        }
        show_all(channel);
        size = await_record(side, &payload, &kind);
        REQUIRE(size == size_of(plan, done, 1));
        REQUIRE(kind == (uint32_t)done + 1);
        REQUIRE(has_pattern(payload, size, ~done));
        mproc_ring_consume(channel);
        mproc_ring_publish_head(channel);
        ring_doorbell(channel, MPROC_WORD_HEAD);
        mproc_ring_set_limit(channel, ledger[done++ % LEDGER]);
    }
}

static void run_processes(const struct plan *plan, uint64_t start)
{
    struct pair pair;
    struct side application = {&pair.application, plan};
    struct side worker = {&pair.worker, plan};
    pid_t pid;

    pair_open(&pair, CAPACITY, start, TWO_MAPPINGS);
    pid = fork();
    if (pid == 0) {
        work(&worker);
        _exit(0);
    }
    apply(&application);
    require_success(pid);
    pair_close(&pair);
}

static void run_threads(const struct plan *plan, uint64_t start)
{
    struct pair pair;
    struct side application = {&pair.application, plan};
    struct side worker = {&pair.worker, plan};
    pthread_t thread;

    pair_open(&pair, CAPACITY, start, ONE_MAPPING);
    REQUIRE(pthread_create(&thread, NULL, work, &worker) == 0);
    apply(&application);
    pthread_join(thread, NULL);
    pair_close(&pair);
}

/*
 * The Dekker pair itself, without a kernel in between: in each round one side
 * publishes and looks whether the other sleeps, while the other announces its
 * sleep and looks for a record. One of them must see the other.
 */
struct meeting {
    struct pair pair;
    uint64_t rounds;
    uint64_t arrived[2][16]; /* a line for each side */
    uint64_t saw_record;
};

static void meet(struct meeting *meeting, int side, uint64_t round)
{
    unsigned looks = 0;

    mproc_store_release(&meeting->arrived[side][0], round);
    while (mproc_load_acquire(&meeting->arrived[!side][0]) < round)
        if (++looks % 4096 == 0)
            sched_yield();
}

/* The two must run at once, which the scheduler does not promise by itself. */
static void pin_to(int nth)
{
    cpu_set_t all, one;

    REQUIRE(sched_getaffinity(0, sizeof all, &all) == 0);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &all) || nth-- > 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
        return;
    }
}

/* Up to about 100 ns, so that the two meet in every order. */
static void stagger(uint64_t *random)
{
    for (uint64_t i = next_random(random) >> 56; i > 0; i--)
        __asm__ volatile("" ::: "memory");
}

static void *announce_rounds(void *argument)
{
    struct meeting *meeting = argument;
    struct mproc_channel *channel = &meeting->pair.worker;

    uint64_t random = 1;

    pin_to(1);
    for (uint64_t round = 1; round <= meeting->rounds; round++) {
        const void *payload;
        uint32_t kind;
        size_t size;

        meet(meeting, 0, 2 * round);
        stagger(&random);
        mproc_channel_announce_sleep(channel, MPROC_WORD_TAIL);
        meeting->saw_record =
            mproc_ring_peek(channel, &payload, &size, &kind) == 1;
        meet(meeting, 0, 2 * round + 1);
        mproc_channel_end_sleep(channel);
        REQUIRE(mproc_ring_peek(channel, &payload, &size, &kind) == 1);
        mproc_ring_consume(channel);
    }
    return NULL;
}

static void sleeper_and_waker_see_each_other(void)
{
    static struct meeting meeting;
    struct mproc_channel *channel = &meeting.pair.application;
    uint64_t met[4] = {0}, random = 2;
    pthread_t thread;

    meeting.rounds = SCALE * 20000;
    pair_open(&meeting.pair, CAPACITY, 0, TWO_MAPPINGS);
    REQUIRE(pthread_create(&thread, NULL, announce_rounds, &meeting) == 0);
    pin_to(0);
    for (uint64_t round = 1; round <= meeting.rounds; round++) {
        bool saw_sleeper;

        REQUIRE(mproc_ring_reserve(channel, 8) != NULL);
        mproc_ring_commit(channel, 8, 1);
        meet(&meeting, 1, 2 * round);
        stagger(&random);
        mproc_ring_publish(channel);
        saw_sleeper = mproc_channel_peer_sleeps(channel, MPROC_WORD_TAIL);
        meet(&meeting, 1, 2 * round + 1);
        REQUIRE(saw_sleeper || meeting.saw_record);
        met[saw_sleeper * 2 + meeting.saw_record]++;
        mproc_ring_set_limit(channel, channel->tail - 16);
    }
    pthread_join(thread, NULL);
    printf("       saw: sleeper %lu, record %lu, both %lu\n",
           (unsigned long)met[2], (unsigned long)met[1],
           (unsigned long)met[3]);
}

/*
 * The application as a pool has it: one thread submits, another drains and
 * frees. Room passes from the worker's reads over two threads to the producer.
 */
struct drainer {
    struct mproc_channel *channel;
    uint64_t count;
};

static void *drain(void *argument)
{
    const struct drainer *drainer = argument;
    struct mproc_channel *channel = drainer->channel;

    for (uint64_t number = 0; number < drainer->count; number++) {
        const void *payload;
        uint32_t kind;
        size_t size;
        int found;

        while ((found = mproc_ring_peek(channel, &payload, &size, &kind)) == 0)
            sched_yield();
        REQUIRE(found == 1 && size == 8);
        mproc_ring_set_limit(channel, *(const uint64_t *)payload);
        mproc_ring_consume(channel);
        mproc_ring_publish_head(channel);
    }
    return NULL;
}

/* Answers each record with the position after it. */
static void *echo_positions(void *argument)
{
    const struct drainer *worker = argument;
    struct mproc_channel *channel = worker->channel;

    for (uint64_t number = 0; number < worker->count; number++) {
        const void *payload;
        uint64_t *reply;
        uint32_t kind;
        size_t size;
        int found;

        while ((found = mproc_ring_peek(channel, &payload, &size, &kind)) == 0)
            sched_yield();
        REQUIRE(found == 1 && has_pattern(payload, size, number));
        mproc_ring_consume(channel);
        while ((reply = mproc_ring_reserve(channel, 8)) == NULL) {
            REQUIRE(mproc_ring_refresh_limit(channel) == 0);
            sched_yield();
        }
        *reply = channel->head;
        mproc_ring_commit(channel, 8, 1);
        mproc_ring_publish(channel);
    }
    return NULL;
}

static void producer_and_drainer_are_two_threads(void)
{
    static struct pair pair;
    struct drainer drainer = {&pair.application, SCALE * 20000};
    struct drainer worker = {&pair.worker, SCALE * 20000};
    pthread_t threads[2];

    pair_open(&pair, CAPACITY, UINT64_MAX - 8 * CAPACITY + 1, ONE_MAPPING);
    REQUIRE(pthread_create(&threads[0], NULL, drain, &drainer) == 0);
    REQUIRE(pthread_create(&threads[1], NULL, echo_positions, &worker) == 0);
    for (uint64_t number = 0; number < worker.count; number++) {
        size_t size = number * 7 % 200;
        void *room;

        while ((room = mproc_ring_reserve(&pair.application, size)) == NULL)
            sched_yield();
        fill_pattern(room, size, number);
        mproc_ring_commit(&pair.application, size, 1);
        mproc_ring_publish(&pair.application);
    }
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
}


static void processes_that_spin(void)
{
    struct plan plan = {SCALE * 60000, 200, false, 600, true};

    run_processes(&plan, 0);
    run_processes(&plan, (UINT64_C(1) << 32) - 8 * CAPACITY);
    run_processes(&plan, UINT64_MAX - 8 * CAPACITY + 1);
}

static void processes_that_sleep(void)
{
    struct plan plan = {SCALE * 20000, 0, true, 600, true};

    run_processes(&plan, 0);
    run_processes(&plan, (UINT64_C(1) << 32) - 8 * CAPACITY);
    run_processes(&plan, UINT64_MAX - 8 * CAPACITY + 1);
}

static void threads_that_sleep(void)
{
    struct plan plan = {SCALE * 8000, 0, true, 600, true};

    for (int i = 0; i < 4; i++)
        run_threads(&plan, UINT64_MAX - 8 * CAPACITY + 1);
}

static void threads_that_spin(void)
{
    struct plan plan = {SCALE * 12000, 200, false, 600, true};

    for (int i = 0; i < 4; i++)
        run_threads(&plan, 0);
}

/* Sleeping and waking at different distances from each other. */
static void no_wake_up_is_lost(void)
{
    for (unsigned spins = 0; spins < 300; spins += 12) {
        struct plan one = {SCALE * 250, spins, true, 1, false};
        struct plan few = {SCALE * 250, spins, true, 3, false};

        run_processes(&one, 0);
        run_processes(&few, 0);
    }
}

const struct check stress_checks[] = {
    {"two spinning processes exchange all records intact",
     processes_that_spin, UNDER_TSAN},
    {"two sleeping processes exchange all records intact",
     processes_that_sleep, UNDER_TSAN},
    {"two threads over one mapping, spinning", threads_that_spin, false},
    {"two threads over one mapping, sleeping", threads_that_sleep, false},
    {"sleeper or waker sees the other", sleeper_and_waker_see_each_other,
     UNDER_TSAN},
    {"one thread submits while another drains and frees",
     producer_and_drainer_are_two_threads, false},
    {"no wake-up is lost between two processes", no_wake_up_is_lost,
     UNDER_TSAN},
    {NULL, NULL, false},
};
