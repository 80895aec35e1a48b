/*
 * SIGKILL at every instruction of a worker, through whole exchanges. After
 * each kill the application does what it does after a worker's death, and
 * every item must have its one right outcome.
 */
#include "check.h"

#include <string.h>

#include "exchange.h"
#include "step.h"

/* Positions of the rings at the start: some records later they wrap. */
#define NEAR_THE_END (4 * POOL_CAPACITY - 1000)

/* Each lets the worker come into another situation. */
static const struct exchange_options variants[] = {
    {LAZY, 20, POOL_ARENA, POOL_WINDOW, NEAR_THE_END},     /* no arena */
    {LAZY, 3, POOL_LARGE_ARENA, POOL_WINDOW, NEAR_THE_END}, /* no room */
    {LAZY, 60, POOL_LARGE_ARENA, 2, NEAR_THE_END},         /* no records */
    {EAGER, 0, POOL_ARENA, POOL_WINDOW, NEAR_THE_END},
};
#define VARIANT_COUNT (sizeof variants / sizeof variants[0])

/* Ends the check as skipped where this way does not work. */
static void require_way(enum step_way way)
{
    const char *reason = step_reason_against(way);

    if (reason != NULL)
        skip_check(reason);
    pool_script_prepare();
}

/* The first records are there before the worker is. */
static struct exchange *start(const struct exchange_options *options)
{
    struct exchange *exchange = exchange_open(options);

    pool_turn(&exchange->application);
    return exchange;
}

static struct step_plan plan_of(struct exchange *exchange, long stride)
{
    return (struct step_plan){.body = exchange_run_worker,
                              .at_step = exchange_survey,
                              .context = exchange, .stride = stride};
}

static void finish(struct exchange *exchange, struct exchange_seen *seen)
{
    pool_turn(&exchange->application);
    exchange_require_complete(exchange);
    REQUIRE(exchange->points > 0 && exchange->bad == 0);
    exchange_add_seen(seen, exchange);
    exchange_close(exchange);
}

/* A sweep that leaves out a situation says less than it promises. */
static void require_all_seen(const struct exchange_seen *seen)
{
    printf("       %ld charge an item, %ld save results, %ld hand records "
           "on\n       %ld idle, %ld without room, %ld without arena\n",
           seen->charged, seen->kept, seen->handed_on, seen->idle,
           seen->no_room, seen->no_arena);
    REQUIRE(seen->charged > 0 && seen->kept > 0 && seen->handed_on > 0);
    REQUIRE(seen->idle > 0 && seen->no_room > 0 && seen->no_arena > 0);
}

static void killed_at_every_instruction(void)
{
    const long stride = whole_sweep ? 1 : UNDER_SANITIZER ? 497 : 13;
    struct exchange_seen seen = {0};
    long kills = 0;

    require_way(STEP_BY_TRAP_FLAG);
    for (size_t i = 0; i < VARIANT_COUNT; i++) {
        struct exchange *exchange = start(&variants[i]);
        struct step_plan plan = plan_of(exchange, stride);
        long count = step_killing(&plan);

        REQUIRE(count == exchange->points);
        kills += count;
        finish(exchange, &seen);
    }
    printf("       %ld kills, stride %ld\n", kills, stride);
    require_all_seen(&seen);
}

/* MARK: - Stopped instead of killed */

static void stopped_wherever_the_rings_wrap(void)
{
    const uint64_t step = whole_sweep ? 208 : UNDER_SANITIZER ? 2040 : 680;
    const long stride = whole_sweep ? 1 : UNDER_SANITIZER ? 13 : 5;
    const enum step_way way = step_way_here();
    struct exchange_seen seen = {0};
    long points = 0;

    pool_script_prepare();
    for (uint64_t place = 8; place < POOL_CAPACITY; place += step) {
        struct exchange_options options =
            variants[place / step % VARIANT_COUNT];
        struct exchange *exchange;
        struct step_plan plan;

        options.start = POOL_CAPACITY + place;
        options.delay = (long)(place / step * 7 % 80);
        exchange = start(&options);
        plan = plan_of(exchange, stride);
        points += step_through(way, &plan);
        finish(exchange, &seen);
    }
    printf("       %ld points\n", points);
}

/* MARK: - By ptrace, which arm64 has too */

static void stopped_by_ptrace(void)
{
    struct exchange_seen seen = {0};
    long points = 0;

    require_way(STEP_BY_PTRACE);
    for (size_t i = 0; i < VARIANT_COUNT; i++) {
        struct exchange *exchange = start(&variants[i]);
        struct step_plan plan = plan_of(exchange, 1);

        points += step_through(STEP_BY_PTRACE, &plan);
        finish(exchange, &seen);
    }
    printf("       %ld points\n", points);
    require_all_seen(&seen);
}

/* Each kill is a run of its own, from the first instruction. */
static void killed_by_ptrace(void)
{
    const long kills = whole_sweep ? 20 : 4;
    uint64_t random = 2026;

    require_way(STEP_BY_PTRACE);
    for (long i = 0; i < kills; i++) {
        long steps = (long)((next_random(&random) >> 8) % 12000) + 1;
        struct exchange *exchange =
            start(&variants[(size_t)i % VARIANT_COUNT]);
        struct step_plan plan = plan_of(exchange, 1);

        plan.at_step = exchange_take_turn;
        REQUIRE(step_and_kill(STEP_BY_PTRACE, &plan, steps));
        exchange_survey(exchange);
        REQUIRE(exchange->bad == 0);
        exchange_close(exchange);
    }
    printf("       %ld kills\n", kills);
}

const struct check kill_checks[] = {
    {"sweep: a worker killed at any instruction loses one item at most",
     killed_at_every_instruction, UNDER_TSAN},
    {"sweep: what a stopped worker leaves is whole wherever the rings wrap",
     stopped_wherever_the_rings_wrap, UNDER_TSAN},
    {"sweep: a worker stopped by ptrace anywhere loses one item at most",
     stopped_by_ptrace, UNDER_SANITIZER},
    {"sweep: a worker killed by ptrace loses one item at most",
     killed_by_ptrace, UNDER_SANITIZER},
    {NULL, NULL, false},
};
