/* Commands as children, and the signals of who started them. */

#include "mproc_launch.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct failure {
    int error;
    int stage;
};

static sigset_t original;
static int has_original;

static const int forwarded[] = {SIGHUP, SIGINT, SIGQUIT,
                                SIGTERM, SIGUSR1, SIGUSR2};

static void held_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGCHLD);
    for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded; i++)
        sigaddset(set, forwarded[i]);
}

int mproc_launch_hold_signals(void)
{
    sigset_t set;
    held_signals(&set);
    /* Who ignores SIGCHLD never sees its children's exit status. */
    signal(SIGCHLD, SIG_DFL);
    if (sigprocmask(SIG_BLOCK, &set, has_original ? NULL : &original) != 0)
        return -errno;
    has_original = 1;
    return 0;
}

int mproc_launch_wait(int32_t *sender)
{
    sigset_t set;
    siginfo_t info;
    held_signals(&set);
    for (;;) {
        int number = sigwaitinfo(&set, &info);
        if (number > 0) {
            *sender = info.si_code <= 0 ? info.si_pid : 0;
            return number;
        }
        if (errno != EINTR)
            return -errno;
    }
}

/* Never returns. The parent's one thread makes everything safe here that is
 * safe in it. */
static void run_child(char *const *arguments, char *const *environment,
                      const unsigned long *mask, size_t mask_bytes,
                      pid_t parent, int report)
{
    struct failure failure = {0, MPROC_LAUNCH_PROCESS};
    /* A parent that died before this line is no parent any more. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(1);
    if (mask != NULL) {
        failure.stage = MPROC_LAUNCH_AFFINITY;
        if (syscall(SYS_sched_setaffinity, 0, mask_bytes, mask) != 0)
            goto fail;
    }
    failure.stage = MPROC_LAUNCH_COMMAND;
    if (has_original)
        sigprocmask(SIG_SETMASK, &original, NULL);
    execvpe(arguments[0], arguments, environment);
fail:
    failure.error = errno;
    /* The pipe is empty: this is written whole or not at all. */
    ssize_t written = write(report, &failure, sizeof failure);
    _exit(written == (ssize_t)sizeof failure ? 127 : 126);
}

int32_t mproc_launch(char *const *arguments, char *const *environment,
                     const unsigned long *mask, size_t mask_bytes, int *stage)
{
    struct failure failure;
    int ends[2];
    *stage = MPROC_LAUNCH_PROCESS;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -errno;
    pid_t parent = getpid();
    pid_t child = fork();
    if (child < 0) {
        int error = errno;
        close(ends[0]);
        close(ends[1]);
        return -error;
    }
    if (child == 0)
        run_child(arguments, environment, mask, mask_bytes, parent, ends[1]);
    close(ends[1]);
    ssize_t count;
    do {
        count = read(ends[0], &failure, sizeof failure);
    } while (count < 0 && errno == EINTR);
    close(ends[0]);
    /* The end of the pipe without a report: exec closed it, or the child was
      * killed before, which its exit status tells. */
    if (count != (ssize_t)sizeof failure)
        return child;
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
    *stage = failure.stage;
    return -failure.error;
}
