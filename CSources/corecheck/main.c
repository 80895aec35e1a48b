/* Runs the checks whose name contains the argument, or all; -w before it
 * sweeps whole. */
#include "check.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A hang is a failure; nothing is said about speed. */
#define HANG_SECONDS 120
#define SKIPPED_STATUS 77

bool whole_sweep;

void skip_check(const char *reason)
{
    printf("       %s\n", reason);
    exit(SKIPPED_STATUS);
}

void fill_pattern(void *payload, size_t size, uint64_t number)
{
    uint8_t *bytes = payload;

    for (size_t i = 0; i < size; i++)
        bytes[i] = pattern(number, i);
}

bool has_pattern(const void *payload, size_t size, uint64_t number)
{
    const uint8_t *bytes = payload;

    for (size_t i = 0; i < size; i++)
        if (bytes[i] != pattern(number, i))
            return false;
    return true;
}

void pair_open(struct pair *pair, uint64_t capacity, uint64_t start,
               enum mappings mappings)
{
    memset(pair, 0, sizeof *pair);
    pair->a_fd = mproc_segment_create(capacity, start, MPROC_NODE_ANY);
    pair->b_fd = mproc_segment_create(capacity, start, MPROC_NODE_ANY);
    REQUIRE(pair->a_fd >= 0 && pair->b_fd >= 0);
    REQUIRE(mproc_segment_map(pair->a_fd, MPROC_SEGMENT_WRITABLE,
                              &pair->a) == 0);
    REQUIRE(mproc_segment_map(pair->b_fd, MPROC_SEGMENT_WRITABLE,
                              &pair->b) == 0);
    REQUIRE(mproc_segment_seal(pair->a_fd) == 0);
    REQUIRE(mproc_segment_seal(pair->b_fd) == 0);
    pair->a_reader = pair->a;
    pair->b_reader = pair->b;
    if (mappings == TWO_MAPPINGS) {
        REQUIRE(mproc_segment_map(pair->a_fd, MPROC_SEGMENT_POPULATE,
                                  &pair->a_reader) == 0);
        REQUIRE(mproc_segment_map(pair->b_fd, 0, &pair->b_reader) == 0);
    }
    REQUIRE(mproc_channel_open(&pair->application, &pair->a,
                               &pair->b_reader) == 0);
    REQUIRE(mproc_channel_open(&pair->worker, &pair->b, &pair->a_reader) == 0);
}

void pair_close(struct pair *pair)
{
    if (pair->a_reader.header != pair->a.header) {
        mproc_segment_unmap(&pair->a_reader);
        mproc_segment_unmap(&pair->b_reader);
    }
    mproc_segment_unmap(&pair->a);
    mproc_segment_unmap(&pair->b);
    close(pair->a_fd);
    close(pair->b_fd);
}

void require_success(int pid)
{
    int status;

    REQUIRE(pid > 0);
    REQUIRE(waitpid(pid, &status, 0) == pid);
    REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static bool run(const struct check *check)
{
    struct timespec begin, end;
    int status = 0;
    bool skipped;
    pid_t pid;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        alarm(HANG_SECONDS);
        check->run();
        exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return false;
    kill(-pid, SIGKILL); /* children of a check that failed */
    clock_gettime(CLOCK_MONOTONIC, &end);
    skipped = WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED_STATUS;
    printf("%-6s %6.2f s  %s",
           status == 0 ? "ok" : skipped ? "skip" : "FAILED",
           (double)(end.tv_sec - begin.tv_sec) +
               (double)(end.tv_nsec - begin.tv_nsec) * 1e-9,
           check->name);
    if (WIFSIGNALED(status))
        printf("  (signal %d)", WTERMSIG(status));
    printf("\n");
    return status == 0 || skipped;
}

int main(int argc, char **argv)
{
    static const struct check *const suites[] = {
        layout_checks, ring_checks, corrupt_checks,
        arena_checks, hostile_checks, kill_checks, preempt_checks,
        lifeline_checks, mutant_checks, crash_checks, symbols_checks,
        stress_checks, server_checks, watched_checks,
        end_status_checks, sync_checks, sync_kill_checks,
        queue_checks, queue_kill_checks, wakes_checks, stopped_checks,
    };
    const char *filter;
    int failed = 0, count = 0;

    whole_sweep = argc > 1 && strcmp(argv[1], "-w") == 0;
    filter = argc > 1 + whole_sweep ? argv[1 + whole_sweep] : "";

    setvbuf(stdout, NULL, _IONBF, 0);
    for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++) {
        for (const struct check *c = suites[i]; c->name != NULL; c++) {
            if (strstr(c->name, filter) == NULL)
                continue;
            if (c->skip) {
                printf("%-6s           %s\n", "skip", c->name);
                continue;
            }
            count++;
            failed += !run(c);
        }
    }
    printf("%d checks, %d failed\n", count, failed);
    return failed > 0 || count == 0;
}
