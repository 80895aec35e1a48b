/*
 * The application stopped at every instruction, while its worker goes on as
 * far as it can: whatever the application has half done, the worker must see
 * nothing of it, and overwrite nothing that is still read.
 */
#include "preempt.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* The worker's process and the two ends by which it is let go on. */
static struct {
    pid_t pid;
    int ours, its;
    bool has_ended;
} worker_side;

/* It can do nothing: until the application has come further. */
static void wait_for_the_application(struct pool_worker *worker,
                                     enum mproc_channel_word word,
                                     uint32_t observed)
{
    char byte = 0;

    (void)observed;
    if (word != MPROC_WORD_CONTROL)
        mproc_channel_announce_sleep(&worker->channel, word);
    if (write(worker_side.its, &byte, 1) != 1 ||
        read(worker_side.its, &byte, 1) != 1)
        _exit(0);
    if (word != MPROC_WORD_CONTROL)
        mproc_channel_end_sleep(&worker->channel);
}

static void start_worker(struct exchange *exchange)
{
    int ends[2];
    char byte;

    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    worker_side.ours = ends[0];
    worker_side.its = ends[1];
    worker_side.has_ended = false;
    exchange->worker.wait = wait_for_the_application;
    worker_side.pid = fork();
    if (worker_side.pid == 0) {
        close(worker_side.ours);
        pool_worker_serve(&exchange->worker);
        _exit(0);
    }
    REQUIRE(worker_side.pid > 0);
    close(worker_side.its);
    REQUIRE(read(worker_side.ours, &byte, 1) == 1);
}

static void end_worker(void)
{
    close(worker_side.ours);
    require_success(worker_side.pid);
}

static void let_worker_go_on(void *context)
{
    struct exchange *exchange = context;
    char byte = 0;

    exchange->points++;
    if (worker_side.has_ended)
        return;
    if (send(worker_side.ours, &byte, 1, MSG_NOSIGNAL) != 1 ||
        read(worker_side.ours, &byte, 1) != 1)
        worker_side.has_ended = true;
}

static void run_application(void *context)
{
    struct exchange *exchange = context;
    struct pool_application *application = &exchange->application;

    while (application->wrong == NULL && !exchange->truth.damaged &&
           (!application->stop_sent ||
            application->front != application->end))
        pool_turn(application);
}

void preempt_application(struct exchange *exchange, enum step_way way,
                         long stride)
{
    const struct step_plan plan = {.body = run_application,
                                   .at_step = let_worker_go_on,
                                   .context = exchange, .stride = stride};

    start_worker(exchange);
    step_through(way, &plan);
    end_worker();
}

static void stopped_at_every_instruction(void)
{
    const long last_stride = whole_sweep ? 12 : UNDER_SANITIZER ? 1 : 4;
    const enum step_way way = step_way_here();
    long points = 0;

    pool_script_prepare();
    for (long stride = 1; stride <= last_stride; stride++) {
        const struct exchange_options options = {
            EAGER, 0, stride & 1 ? POOL_ARENA : POOL_LARGE_ARENA, POOL_WINDOW,
            POOL_CAPACITY + 8 * (uint64_t)stride,
        };
        struct exchange *exchange = exchange_open(&options);

        preempt_application(exchange, way, stride);
        exchange_require_complete(exchange);
        REQUIRE(exchange->points > 0);
        points += exchange->points;
        exchange_close(exchange);
    }
    printf("       %ld points\n", points);
}

const struct check preempt_checks[] = {
    {"sweep: a worker sees nothing of what an application has half done",
     stopped_at_every_instruction, UNDER_TSAN},
    {NULL, NULL, false},
};
