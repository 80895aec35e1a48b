/*
 * SIGKILL at instructions of the application, with a real worker beside it.
 * Nobody survives who could look at the memory; what must hold is that the
 * worker is shown nothing half done on the way, and that it ends with the
 * application, by its lifeline, whatever it was at.
 */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../CMultiprocessing/process/process_internal.h"
#include "exchange.h"
#include "step.h"

#define START (POOL_CAPACITY + 2600)
#define WORKER_SECONDS 60
#define STEPPED_TURNS 2

static uint32_t record_to_reach;

/* A worker in a group of its own, as mproc__run_child sets it up. */
static _Noreturn void be_the_worker(struct exchange *exchange, int lifeline,
                                    int ready)
{
    alarm(WORKER_SECONDS);
    if (setpgid(0, 0) < 0 || mproc__arm_lifeline(lifeline) < 0 ||
        write(ready, "", 1) != 1)
        _exit(2);
    pool_worker_serve(&exchange->worker);
    _exit(exchange->worker.stopped ? 0 : 3);
}

static void start_worker(struct exchange *exchange)
{
    int lifeline[2], ready[2];
    char byte;
    pid_t pid;

    REQUIRE(pipe2(lifeline, O_CLOEXEC) == 0 && pipe2(ready, O_CLOEXEC) == 0);
    pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        close(lifeline[1]);
        close(ready[0]);
        be_the_worker(exchange, lifeline[0], ready[1]);
    }
    close(lifeline[0]);
    close(ready[1]);
    REQUIRE(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
}

/* Goes on to a record of the script, with one record in flight. */
static void go_to_the_record(void *context)
{
    struct exchange *exchange = context;

    start_worker(exchange);
    while (exchange->application.submitted < record_to_reach)
        pool_turn(&exchange->application);
}

static void take_some_turns(void *context)
{
    struct exchange *exchange = context;

    for (int i = 0; i < STEPPED_TURNS; i++)
        pool_turn(&exchange->application);
}

static void go_on(void *context)
{
    (void)context;
}

/* False when the application came to its end before it was killed. */
static bool kill_application(enum step_way way, long steps)
{
    const struct exchange_options options = {EAGER, 0, POOL_ARENA, 1, START};
    struct exchange *exchange = exchange_open(&options);
    const struct step_plan plan = {.body = take_some_turns, .at_step = go_on,
                                   .context = exchange, .stride = 1,
                                   .prepare = go_to_the_record};
    bool was_killed = step_and_kill(way, &plan, steps);
    int status;

    REQUIRE(waitpid(-1, &status, 0) > 0);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        REQUIRE(status == 0 && exchange->application.stop_sent);
    REQUIRE(waitpid(-1, &status, WNOHANG) == -1 && errno == ECHILD);
    REQUIRE(!exchange->truth.damaged && exchange->application.wrong == NULL);
    exchange_close(exchange);
    return was_killed;
}

static void no_worker_outlives_its_application(void)
{
    const enum step_way way = step_way_here();
    const long stride = whole_sweep ? 97 : 499;
    long kills = 0, first = 1;

    pool_script_prepare();
    /* The worker becomes ours. */
    REQUIRE(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
    while (record_to_reach < POOL_RECORDS) {
        for (long steps = first++; kill_application(way, steps);
             steps += stride)
            kills++;
        record_to_reach++;
    }
    printf("       %ld kills\n", kills);
    REQUIRE(kills >= POOL_RECORDS);
}

const struct check lifeline_checks[] = {
    {"sweep: no worker outlives an application killed at any instruction",
     no_worker_outlives_its_application, UNDER_SANITIZER},
    {NULL, NULL, false},
};
