/*
 * The sweeps must be able to fail: each mutant does one thing of the protocol
 * in the wrong order, and a sweep must find it.
 */
#include "check.h"

#include <sys/wait.h>
#include <unistd.h>

#include "exchange.h"
#include "preempt.h"

#define START (POOL_CAPACITY + 3000)
#define MUTANT_SECONDS 20
#define PREEMPTIONS 4

static struct exchange *open_mutant(enum pool_mutant mutant,
                                    uint64_t arena_bytes,
                                    enum exchange_mode mode)
{
    const struct exchange_options options = {mode, 20, arena_bytes,
                                             POOL_WINDOW, START};
    struct exchange *exchange = exchange_open(&options);

    exchange->is_quiet = true;
    exchange->worker.mutant = exchange->application.mutant = mutant;
    return exchange;
}

/* A mutant may end badly, too; only what the verdict says counts. */
static void await_mutant(pid_t pid)
{
    int status;

    REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid);
}

/* The worker stopped everywhere: how many stops are bad. */
static bool sweep_worker(enum step_way way, enum pool_mutant mutant)
{
    struct exchange *exchange = open_mutant(mutant, POOL_ARENA, LAZY);
    const struct step_plan plan = {.body = exchange_run_worker,
                                   .at_step = exchange_survey,
                                   .context = exchange,
                                   .stride = whole_sweep ? 1 : 5,
                                   .may_fail = true};
    pid_t pid;
    bool caught;

    pid = fork();
    if (pid == 0) {
        alarm(MUTANT_SECONDS);
        pool_turn(&exchange->application);
        step_through(way, &plan);
        _exit(0);
    }
    await_mutant(pid);
    caught = exchange->bad > 0;
    printf("       %5ld of %5ld stops bad: %s: %s\n", exchange->bad,
           exchange->points, pool_mutant_names[mutant],
           caught ? exchange->wrong : "NOT CAUGHT");
    exchange_close(exchange);
    return caught;
}

/* The application stopped everywhere: how many exchanges are bad. */
static bool sweep_application(enum step_way way, enum pool_mutant mutant)
{
    const char *wrong = NULL;
    int bad = 0;

    for (long stride = 1; stride <= PREEMPTIONS; stride++) {
        struct exchange *exchange = open_mutant(
            mutant, stride & 1 ? POOL_ARENA : POOL_LARGE_ARENA, EAGER);
        pid_t pid = fork();

        if (pid == 0) {
            alarm(MUTANT_SECONDS);
            preempt_application(exchange, way, stride);
            _exit(0);
        }
        await_mutant(pid);
        if (exchange->application.wrong != NULL)
            wrong = exchange->application.wrong;
        else if (exchange->truth.damaged)
            wrong = "the worker was shown what nobody sent";
        bad += exchange->application.wrong != NULL || exchange->truth.damaged;
        exchange_close(exchange);
    }
    printf("       %5d of %5d runs  bad: %s: %s\n", bad, PREEMPTIONS,
           pool_mutant_names[mutant], bad > 0 ? wrong : "NOT CAUGHT");
    return bad > 0;
}

static void every_wrong_order_is_caught(void)
{
    const enum step_way way = step_way_here();
    bool caught = true;

    pool_script_prepare();
    for (enum pool_mutant i = AS_IT_SHOULD_BE + 1; i < MUTANT_COUNT; i++)
        caught &= i < FIRST_MUTANT_ALIVE ? sweep_worker(way, i)
                                         : sweep_application(way, i);
    REQUIRE(caught);
}

/* The same eyes look after a real kill. */
static void real_kills_find_a_wrong_order(void)
{
    struct exchange *exchange =
        open_mutant(SPILLS_OVER_COUNTED_RESULTS, POOL_ARENA, LAZY);
    const struct step_plan plan = {.body = exchange_run_worker,
                                   .at_step = exchange_survey,
                                   .context = exchange, .stride = 7};
    const char *reason = step_reason_against(STEP_BY_TRAP_FLAG);

    if (reason != NULL)
        skip_check(reason);
    pool_script_prepare();
    pool_turn(&exchange->application);
    step_killing(&plan);
    printf("       %ld of %ld kills bad\n", exchange->bad, exchange->points);
    REQUIRE(exchange->bad > 0);
}

const struct check mutant_checks[] = {
    {"sweep: real kills find a wrong order", real_kills_find_a_wrong_order,
     UNDER_SANITIZER},
    {"sweep: every wrong order of steps is caught", every_wrong_order_is_caught,
     UNDER_SANITIZER},
    {NULL, NULL, false},
};
