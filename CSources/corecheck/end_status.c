/*
 * How a child ended that the kernel reaps by itself, as the application
 * ignores SIGCHLD (process/end_status.c).
 */
#include "check.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../CMultiprocessing/process/process_internal.h"
#include "mproc_base.h"

/* The oldest mistake here was found within 100. */
#define CYCLES (UNDER_SANITIZER ? 500 : 5000)
#define END_MS 10000

static void require_kernel(void)
{
    struct utsname name;
    int major = 0, minor = 0;

    REQUIRE(uname(&name) == 0);
    if (sscanf(name.release, "%d.%d", &major, &minor) != 2 || major < 6 ||
        (major == 6 && minor < 15))
        skip_check("this kernel forgets how a reaped process ended");
    if (mproc_pidfds_granted() != 1)
        skip_check("pidfds are refused");
}

/* The moments between a child's end, its being reaped and what the kernel then
 * tells are passed at every distance that chance makes. */
static void reaped_at_once(void)
{
    require_kernel();
    REQUIRE(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
    for (int number = 0; number < CYCLES; number++) {
        int status = -1, result;
        pid_t pid = fork();

        REQUIRE(pid >= 0);
        if (pid == 0)
            _exit(number % 100);
        int pidfd = mproc__pidfd_open(pid);
        if (pidfd == -ESRCH)
            continue; /* gone already */
        REQUIRE(pidfd >= 0);
        if (number % 2)
            REQUIRE(mproc_wait_readable(pidfd, END_MS) == 1);
        do
            result = mproc_pidfd_status(pidfd, &status);
        while (result == -EAGAIN);
        if (result != 0)
            fprintf(stderr, "child %d: %s\n", number, strerror(-result));
        REQUIRE(result == 0);
        REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == number % 100);
        REQUIRE(mproc_pidfd_close(pidfd) == 0);
    }
}

const struct check end_status_checks[] = {
    {"a child that the kernel reaps by itself has a status", reaped_at_once,
     false},
    {NULL, NULL, false},
};
