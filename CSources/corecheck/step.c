/* Single-stepping (step.h). */
#include "step.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

/* MARK: - By the trap flag */

#if defined(__x86_64__)
/* The red zone must survive the push. */
static inline __attribute__((always_inline)) void step_begin(void)
{
    __asm__ volatile("sub $128, %%rsp; pushfq; orl $0x100, (%%rsp);"
                     "popfq; add $128, %%rsp" ::: "memory", "cc");
}

static inline __attribute__((always_inline)) void step_end(void)
{
    __asm__ volatile("sub $128, %%rsp; pushfq; andl $~0x100, (%%rsp);"
                     "popfq; add $128, %%rsp" ::: "memory", "cc");
}
#else
static inline void step_begin(void) {}
static inline void step_end(void) {}
#endif

static const struct step_plan *plan_now;
static volatile long steps_left, life_left;
static long stops;

static void run_stepped(const struct step_plan *plan, void (*on_trap)(int))
{
    struct sigaction action, before;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_trap;
    sigaction(SIGTRAP, &action, &before);
    plan_now = plan;
    steps_left = plan->stride;
    step_begin();
    plan->body(plan->context);
    step_end();
    sigaction(SIGTRAP, &before, NULL);
}

static void stop_here(int signal_number)
{
    (void)signal_number;
    if (--steps_left > 0)
        return;
    steps_left = plan_now->stride;
    stops++;
    plan_now->at_step(plan_now->context);
}

static void stop_or_die_here(int signal_number)
{
    stop_here(signal_number);
    if (--life_left <= 0)
        kill(getpid(), SIGKILL);
}

/* Between the process that is stepped and the one that looks. */
static struct chain {
    volatile pid_t next;
    int go[2];
} *chain;

/* The copy waits until it may go on; the original dies. */
static void copy_and_die(int signal_number)
{
    pid_t pid;
    char byte;

    (void)signal_number;
    if (--steps_left > 0)
        return;
    steps_left = plan_now->stride;
    pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid != 0) {
        chain->next = pid;
        kill(getpid(), SIGKILL);
    }
    while (read(chain->go[0], &byte, 1) < 0)
        ;
}

static pid_t start_chain(const struct step_plan *plan)
{
    pid_t pid;

    chain = mmap(NULL, sizeof *chain, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(chain != MAP_FAILED && pipe(chain->go) == 0);
    /* The copies become ours when their parents die. */
    REQUIRE(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
    pid = fork();
    if (pid == 0) {
        run_stepped(plan, copy_and_die);
        _exit(0);
    }
    REQUIRE(pid > 0);
    return pid;
}

long step_killing(const struct step_plan *plan)
{
    pid_t pid = start_chain(plan);
    long kills = 0;
    int status;

    for (;;) {
        REQUIRE(waitpid(pid, &status, 0) == pid);
        if (WIFEXITED(status))
            break;
        REQUIRE(WTERMSIG(status) == SIGKILL && chain->next > 0);
        kills++;
        plan->at_step(plan->context);
        pid = chain->next;
        REQUIRE(write(chain->go[1], "", 1) == 1);
    }
    REQUIRE(WEXITSTATUS(status) == 0);
    REQUIRE(waitpid(-1, &status, WNOHANG) == -1 && errno == ECHILD);
    close(chain->go[0]);
    close(chain->go[1]);
    munmap(chain, sizeof *chain);
    return kills;
}

/* MARK: - By ptrace */

static pid_t start_traced(const struct step_plan *plan)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        if (plan->prepare != NULL)
            plan->prepare(plan->context);
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
            _exit(3);
        raise(SIGSTOP);
        plan->body(plan->context);
        _exit(0);
    }
    REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid);
    REQUIRE(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    REQUIRE(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_EXITKILL) == 0);
    return pid;
}

/* Goes on by one instruction; false when the child has ended. */
static bool step_traced(pid_t pid, const struct step_plan *plan)
{
    long its_signal = 0;
    int status;

    for (;;) {
        REQUIRE(ptrace(PTRACE_SINGLESTEP, pid, NULL, its_signal) == 0);
        REQUIRE(waitpid(pid, &status, 0) == pid);
        if (!WIFSTOPPED(status))
            break;
        if (WSTOPSIG(status) == SIGTRAP)
            return true;
        its_signal = WSTOPSIG(status); /* one of its own, as SIGCHLD */
    }
    REQUIRE(plan->may_fail || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    return false;
}

static bool kill_traced(const struct step_plan *plan, long steps)
{
    pid_t pid = start_traced(plan);
    int status;

    for (long step = 1; step <= steps; step++) {
        if (!step_traced(pid, plan))
            return false;
        if (step % plan->stride == 0)
            plan->at_step(plan->context);
    }
    REQUIRE(kill(pid, SIGKILL) == 0);
    do
        REQUIRE(waitpid(pid, &status, 0) == pid);
    while (WIFSTOPPED(status));
    REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return true;
}

static long stop_traced(const struct step_plan *plan)
{
    pid_t pid = start_traced(plan);
    long count = 0;

    for (long step = 1; step_traced(pid, plan); step++) {
        if (step % plan->stride != 0)
            continue;
        count++;
        plan->at_step(plan->context);
    }
    return count;
}

/* MARK: - Either */

long step_through(enum step_way way, const struct step_plan *plan)
{
    if (way == STEP_BY_PTRACE)
        return stop_traced(plan);
    stops = 0;
    if (plan->prepare != NULL)
        plan->prepare(plan->context);
    run_stepped(plan, stop_here);
    return stops;
}

bool step_and_kill(enum step_way way, const struct step_plan *plan,
                   long steps)
{
    int status;
    pid_t pid;

    if (way == STEP_BY_PTRACE)
        return kill_traced(plan, steps);
    pid = fork();
    if (pid == 0) {
        if (plan->prepare != NULL)
            plan->prepare(plan->context);
        life_left = steps;
        run_stepped(plan, stop_or_die_here);
        _exit(0);
    }
    REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return true;
    REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return false;
}

static void do_nothing(void *context)
{
    for (volatile int i = 0; i < 100; i++)
        (void)context;
}

/* In a child: where it does not work, it may end anyhow. */
const char *step_reason_against(enum step_way way)
{
    const struct step_plan plan = {.body = do_nothing, .at_step = do_nothing,
                                   .stride = 1};
    int status = 0;
    pid_t pid;

    if (UNDER_TSAN)
        return "ThreadSanitizer delays signals";
#if !defined(__x86_64__)
    if (way == STEP_BY_TRAP_FLAG)
        return "this processor has no trap flag";
#endif
    pid = fork();
    if (pid == 0)
        _exit(step_through(way, &plan) >= 100 ? 0 : 1);
    REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid);
    if (status == 0)
        return NULL;
    return way == STEP_BY_PTRACE ? "ptrace cannot step here"
                                 : "the trap flag has no effect here";
}

enum step_way step_way_here(void)
{
    const char *reason;

    if (step_reason_against(STEP_BY_TRAP_FLAG) == NULL)
        return STEP_BY_TRAP_FLAG;
    reason = step_reason_against(STEP_BY_PTRACE);
    if (reason != NULL)
        skip_check(reason);
    return STEP_BY_PTRACE;
}
