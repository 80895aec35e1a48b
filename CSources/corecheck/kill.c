/*
 * SIGKILL after each single instruction of a worker's work on one record. The
 * worker steps itself: with the trap flag set every instruction raises
 * SIGTRAP, whose handler kills the process at step N. The survivor then checks
 * what it finds. x86-64 only: arm64 has no trap flag for programs.
 */
#include "check.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__) && !UNDER_TSAN
#define CAN_STEP 1
#else
#define CAN_STEP 0
#endif

#define CAPACITY 4096
#define RESULTS 3
#define RESULT_SIZE 40

static volatile long steps_left;

static void on_trap(int signal_number)
{
    (void)signal_number;
    if (--steps_left <= 0)
        kill(getpid(), SIGKILL);
}

static inline void stepping(bool on)
{
#if CAN_STEP
    if (on)
        __asm__ volatile("sub $128, %%rsp; pushfq; orl $0x100, (%%rsp);"
                         "popfq; add $128, %%rsp" ::: "memory", "cc");
    else
        __asm__ volatile("sub $128, %%rsp; pushfq; andl $~0x100, (%%rsp);"
                         "popfq; add $128, %%rsp" ::: "memory", "cc");
#else
    (void)on;
#endif
}

static inline __attribute__((always_inline)) void
store_result(uint8_t *payload, uint32_t item)
{
    for (size_t i = 0; i < RESULT_SIZE; i++)
        payload[item * RESULT_SIZE + i] = pattern(item, i);
}

/* What a worker does with a chunk, in the order the protocol asks for. */
static void run_one_record(struct mproc_channel *worker)
{
    const void *payload;
    uint8_t *results;
    uint32_t kind;
    size_t size;

    if (mproc_ring_peek(worker, &payload, &size, &kind) != 1)
        _exit(2);
    mproc_channel_set_cursor(worker, 0, 0);
    mproc_ring_clear_partial(worker);
    mproc_channel_set_accepted(worker, worker->head);
    results = mproc_ring_reserve(worker, RESULTS * RESULT_SIZE);
    if (results == NULL)
        _exit(3);
    mproc_ring_set_partial(worker);
    for (uint32_t item = 0; item < RESULTS; item++) {
        store_result(results, item);
        mproc_channel_set_cursor(worker, item + 1,
                                 (uint64_t)(item + 1) * RESULT_SIZE);
    }
    mproc_ring_commit(worker, RESULTS * RESULT_SIZE, kind);
    mproc_ring_publish(worker);
    mproc_ring_consume(worker);
    mproc_ring_publish_head(worker);
}

/* A pair whose next completion wraps when `wraps`, and its submission. */
static void prepare(struct pair *pair, bool wraps)
{
    uint64_t start = UINT64_MAX + 1 - (wraps ? 64 : 1024);
    void *payload;

    pair_open(pair, CAPACITY, start, TWO_MAPPINGS);
    for (uint64_t number = 1; number <= 2; number++) {
        payload = mproc_ring_reserve(&pair->application, 24);
        REQUIRE(payload != NULL);
        fill_pattern(payload, 24, number);
        mproc_ring_commit(&pair->application, 24, (uint32_t)number);
    }
    mproc_ring_publish(&pair->application);
}

static void check_results(const uint8_t *payload, uint32_t items)
{
    for (uint32_t item = 0; item < items; item++)
        REQUIRE(has_pattern(payload + item * RESULT_SIZE, RESULT_SIZE, item));
}

/* What must hold for the survivor; returns which stage the worker reached. */
static int survey(struct pair *pair, uint64_t start)
{
    struct mproc_channel *application = &pair->application;
    const void *payload;
    uint32_t kind, items;
    uint64_t bytes, accepted = mproc_channel_peer_accepted(application);
    size_t size;
    int found = mproc_ring_peek(application, &payload, &size, &kind);
    int partial;

    REQUIRE(found == 0 || found == 1);
    REQUIRE(pair->b_reader.header->head == start ||
            (found == 1 && pair->b_reader.header->head == start + 32));
    if (found == 1) {
        REQUIRE(size == RESULTS * RESULT_SIZE && kind == 1);
        check_results(payload, RESULTS);
        mproc_ring_consume(application);
        REQUIRE(mproc_ring_peek(application, &payload, &size, &kind) == 0);
        REQUIRE(accepted == start);
        return RESULTS + 2;
    }
    mproc_channel_peer_cursor(application, &items, &bytes);
    REQUIRE(items <= RESULTS && bytes == (uint64_t)items * RESULT_SIZE);
    partial = mproc_ring_peek_partial(application, bytes, &payload);
    REQUIRE(partial == 1 || (partial == 0 && items == 0));
    if (accepted != start) {
        REQUIRE(accepted == 0 && items == 0);
        return 0;
    }
    if (partial == 1)
        check_results(payload, items);
    return 1 + (int)items;
}

static void kill_after_every_instruction(bool wraps)
{
    const long stride = UNDER_SANITIZER ? 23 : 1;
    const uint64_t start = UINT64_MAX + 1 - (wraps ? 64 : 1024);
    bool seen[RESULTS + 3] = {false};
    int status = 0, last = 0;
    long kills = 0;

    for (long step = 1; !WIFEXITED(status) || kills == 0; step += stride) {
        struct pair pair;
        pid_t pid;
        int stage;

        prepare(&pair, wraps);
        pid = fork();
        if (pid == 0) {
            signal(SIGTRAP, on_trap);
            steps_left = step;
            stepping(true);
            run_one_record(&pair.worker);
            stepping(false);
            _exit(0);
        }
        REQUIRE(waitpid(pid, &status, 0) == pid);
        REQUIRE(WIFEXITED(status) ? WEXITSTATUS(status) == 0
                                  : WTERMSIG(status) == SIGKILL);
        kills += WIFSIGNALED(status);
        stage = survey(&pair, start);
        REQUIRE(stage >= last);
        REQUIRE(WIFSIGNALED(status) || stage == RESULTS + 2);
        seen[stage] = true;
        last = stage;
        pair_close(&pair);
    }
    printf("       %ld kills\n", kills);
    for (int i = 0; i < RESULTS + 3; i++)
        REQUIRE(seen[i]);
}

static void killed_at_every_instruction(void)
{
    kill_after_every_instruction(false);
}

static void killed_at_every_instruction_while_wrapping(void)
{
    kill_after_every_instruction(true);
}

const struct check kill_checks[] = {
    {"a worker killed at any instruction leaves a sound ring",
     killed_at_every_instruction, !CAN_STEP},
    {"a worker killed at any instruction of a wrap leaves a sound ring",
     killed_at_every_instruction_while_wrapping, !CAN_STEP},
    {NULL, NULL, false},
};
