/*
 * A fork server that is killed, or stopped for ever, before and after each
 * system call that it makes for a start: these are all the points at which it
 * can be seen from outside. Each start must give a child that runs once, or an
 * error in bounded time and nothing that runs; the next server must start it.
 *
 * The server is a copy of this program, stopped before its main by the core's
 * start-up hook; one thread of the check steps it (ptrace), the other asks.
 */
#include "check.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mproc_base.h"
#include "mproc_process.h"

#if UNDER_SANITIZER
#define CAN_TRACE 0 /* the sanitizers' runtimes start threads in the server */
#else
#define CAN_TRACE 1
#endif

#define EXIT_STATUS 7
/* For an answer: a server that is stopped gives none, one that is killed is
 * gone. */
#define STOPPED_MS 100
#define ANSWER_MS 10000
#define STOPS 60 /* more than a start takes */

enum blow { KILL, STOP };

struct tracer {
    pid_t thread; /* of the server, which forks */
    pid_t server;
    int stop; /* at which it is struck */
    enum blow blow;
    _Atomic int is_ready, is_done;
    int seen; /* stops that came */
};

/* Also the program's children: counts itself, and ends. */
int mproc_child_main(const struct mproc_start *start)
{
    void *count;
    size_t mapped;

    if (mproc_map_shared(start->bell, sizeof(uint64_t), &count, &mapped) < 0)
        return 1;
    atomic_fetch_add((_Atomic uint64_t *)count, 1);
    return EXIT_STATUS;
}

static void require_serving(const struct mproc_server *server)
{
    struct mproc_serving serving;

    REQUIRE(mproc_wait_readable(server->process.control, 10000) == 1);
    REQUIRE(mproc_receive_message(server->process.control, &serving,
                                  sizeof serving, NULL, NULL, 0) ==
            sizeof serving);
    REQUIRE(serving.message == MPROC_MESSAGE_SERVING && serving.serves == 1);
}

static struct mproc_start no_options(uint32_t role)
{
    return (struct mproc_start){
        .role = role,
        .worker_index = -1,
        .niceness = MPROC_NICENESS_INHERIT,
        .policy_mode = -1,
        .name = "corecheck",
        .control = -1,
        .lifeline = -1,
        .standard_output = -1,
        .standard_error = -1,
        .submissions = -1,
        .completions = -1,
        .bell = -1,
        .payload_descriptor = -1,
        .argument_arena = -1,
        .result_arena = -1,
        .current_directory = -1,
    };
}

static void open_server(struct mproc_server *server)
{
    struct mproc_start start = no_options(MPROC_ROLE_SERVER);

    REQUIRE(mproc_server_start(&start, NULL, server) == 0);
    require_serving(server);
}

static void close_server(struct mproc_server *server)
{
    int status;

    kill(server->process.pid, SIGKILL);
    REQUIRE(mproc_wait_readable(server->process.pidfd, 10000) == 1);
    REQUIRE(mproc_reap(server->process.pid, server->process.pidfd,
                       &status) == 0);
    mproc_private_close(server->requests);
    mproc_private_close(server->exits);
    mproc_private_close(server->process.control);
    mproc_private_close(server->process.lifeline);
    mproc_pidfd_close(server->process.pidfd);
}

/* The thread beside the main one. */
static pid_t forking_thread(pid_t server)
{
    char path[64];
    pid_t found = 0;

    snprintf(path, sizeof path, "/proc/%d/task", (int)server);
    DIR *tasks = opendir(path);
    REQUIRE(tasks != NULL);
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;)
        if (atoi(entry->d_name) > 0 && atoi(entry->d_name) != server)
            found = atoi(entry->d_name);
    closedir(tasks);
    REQUIRE(found > 0);
    return found;
}

static bool next_stop(struct tracer *tracer, enum __ptrace_request request)
{
    int status;

    if (ptrace(request, tracer->thread, NULL, NULL) < 0)
        return false;
    /* Not blocking for ever: when nothing is asked, it makes no call. */
    while (!atomic_load(&tracer->is_done)) {
        pid_t got = waitpid(tracer->thread, &status, __WALL | WNOHANG);
        if (got != 0)
            return got == tracer->thread && WIFSTOPPED(status);
        usleep(50);
    }
    return false;
}

static void *trace(void *context)
{
    struct tracer *tracer = context;

    REQUIRE(ptrace(PTRACE_SEIZE, tracer->thread, NULL,
                   (void *)PTRACE_O_TRACESYSGOOD) == 0);
    REQUIRE(next_stop(tracer, PTRACE_INTERRUPT));
    atomic_store(&tracer->is_ready, 1);
    while (tracer->seen < tracer->stop && next_stop(tracer, PTRACE_SYSCALL))
        tracer->seen++;
    if (tracer->seen == tracer->stop && tracer->blow == KILL)
        kill(tracer->server, SIGKILL);
    /* A thread that stays in its stop never goes on. */
    while (!atomic_load(&tracer->is_done))
        usleep(100);
    return NULL;
}

/* What a child of the check counts itself in, and a pipe that it and whoever
 * else has a part in its start hold open. */
struct trial {
    struct mproc_start start;
    uint64_t *count;
    int holders[2];
};

static void open_trial(struct trial *trial)
{
    size_t mapped;

    trial->start = no_options(MPROC_ROLE_CHILD);
    trial->start.bell =
        mproc_memfd("count", sizeof *trial->count, MPROC_NODE_ANY);
    REQUIRE(mproc_map_shared(trial->start.bell, sizeof *trial->count,
                             (void **)&trial->count, &mapped) == 0);
    REQUIRE(mproc_pipe(trial->holders) == 0);
    trial->start.completions = trial->holders[1];
}

static void close_trial(struct trial *trial)
{
    mproc_unmap(trial->count, sizeof *trial->count);
    close(trial->start.bell);
    close(trial->holders[0]);
}

/* With the last holder of the pipe everything of the start is gone. */
static void wait_for_holders(struct trial *trial)
{
    struct pollfd end = {.fd = trial->holders[0], .events = POLLIN};

    close(trial->holders[1]);
    trial->start.completions = -1;
    REQUIRE(poll(&end, 1, 10000) == 1);
}

static void close_process(struct mproc_process *process)
{
    mproc_private_close(process->control);
    mproc_private_close(process->lifeline);
    close(process->pidfd);
}

/* A start by a server that is struck at `stop`: 0, or the error. */
static int start_struck(struct trial *trial, struct tracer *tracer,
                        struct mproc_server *server, bool outlives)
{
    struct mproc_process process;
    pthread_t thread;

    REQUIRE(pthread_create(&thread, NULL, trace, tracer) == 0);
    while (!atomic_load(&tracer->is_ready))
        usleep(50);
    int result = mproc_server_fork(server, &trial->start, outlives, 1,
                                   tracer->blow == STOP ? STOPPED_MS
                                                        : ANSWER_MS,
                                   &process);
    if (result == 0) {
        REQUIRE(mproc_wait_readable(process.pidfd, 10000) == 1);
        REQUIRE(*trial->count == 1);
        close_process(&process);
    } else {
        REQUIRE(result == -EPIPE ||
                (result == -ETIMEDOUT && tracer->blow == STOP));
    }
    atomic_store(&tracer->is_done, 1);
    pthread_join(thread, NULL);
    return result;
}

/* The next server starts what the other one may have failed to start. */
static void start_again(struct trial *trial, bool outlives)
{
    struct mproc_server server;
    struct mproc_process process;
    struct mproc_exit report;
    uint64_t before = *trial->count;

    open_server(&server);
    REQUIRE(mproc_server_fork(&server, &trial->start, outlives, 1, 10000,
                              &process) == 0);
    REQUIRE(mproc_wait_readable(server.exits, 10000) == 1);
    REQUIRE(mproc_receive_message(server.exits, &report, sizeof report, NULL,
                                  NULL, 0) == sizeof report);
    REQUIRE(WIFEXITED(report.status) &&
            WEXITSTATUS(report.status) == EXIT_STATUS);
    REQUIRE(*trial->count == before + 1);
    close_process(&process);
    close_server(&server);
}

/* Runs one start; whether the server was struck before it ended. */
static bool start_under(enum blow blow, int stop, bool outlives)
{
    struct mproc_server server;
    struct trial trial;

    open_server(&server);
    open_trial(&trial);
    struct tracer tracer = {.thread = forking_thread(server.process.pid),
                            .server = server.process.pid,
                            .stop = stop,
                            .blow = blow};
    int result = start_struck(&trial, &tracer, &server, outlives);
    close_server(&server);
    wait_for_holders(&trial);
    REQUIRE(*trial.count == (result == 0 ? 1 : 0));
    start_again(&trial, outlives);
    close_trial(&trial);
    return tracer.seen == stop;
}

static void strike_everywhere(enum blow blow, bool outlives)
{
    int stop = 0;

    while (stop < STOPS && start_under(blow, stop, outlives))
        stop++;
    printf("       %d points\n", stop);
    REQUIRE(stop > 10);
}

static void killed_anywhere(void)
{
    strike_everywhere(KILL, false);
}

static void killed_anywhere_outlived(void)
{
    strike_everywhere(KILL, true);
}

static void stopped_anywhere(void)
{
    strike_everywhere(STOP, false);
}

static void stopped_anywhere_outlived(void)
{
    strike_everywhere(STOP, true);
}

const struct check server_checks[] = {
    {"a fork server killed at any point of a start", killed_anywhere,
     !CAN_TRACE},
    {"a fork server killed at any point, the child outliving its parent",
     killed_anywhere_outlived, !CAN_TRACE},
    {"a fork server stopped at any point of a start", stopped_anywhere,
     !CAN_TRACE},
    {"a fork server stopped at any point, the child outliving its parent",
     stopped_anywhere_outlived, !CAN_TRACE},
    {NULL, NULL, false},
};
