/*
 * What holds a child where pidfds are refused: a pipe, a thread that waits, and
 * a table of numbers (process/watched.c). It needs no refusal to be used.
 */
#include "check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../CMultiprocessing/process/process_internal.h"
#include "mproc_base.h"

#define CYCLES 1000
#define END_MS 10000

/* A child that leads a group and waits; a signal that it takes ends it. */
static pid_t start_child(void)
{
    pid_t pid = fork();

    REQUIRE(pid >= 0);
    if (pid == 0) {
        setpgid(0, 0);
        alarm(60); /* should the check fail */
        for (;;)
            pause();
    }
    setpgid(pid, pid);
    return pid;
}

static int open_handle(pid_t pid)
{
    int handle = mproc__watched_open(pid);

    REQUIRE(handle >= 0);
    REQUIRE(mproc__is_watched(handle));
    return handle;
}

static void require_end(int handle)
{
    REQUIRE(mproc_wait_readable(handle, END_MS) == 1);
    REQUIRE(mproc_pidfd_has_ended(handle) == 1);
}

/* Nothing reaches its number any more. */
static void require_gone(pid_t pid, int handle)
{
    int status;

    REQUIRE(mproc_pidfd_signal(handle, SIGKILL) == -ESRCH);
    REQUIRE(mproc_pidfd_signal_group(handle, SIGKILL) == -ESRCH);
    REQUIRE(mproc_signal_group(pid, handle, SIGKILL) == -ESRCH);
    REQUIRE(mproc_pidfd_is_stopped(handle) == 0);
    REQUIRE(mproc_reap(pid, handle, &status) == -ECHILD);
    REQUIRE(mproc_pidfd_status(handle, &status) == -ENODATA);
}

static void a_life(void)
{
    pid_t pid = start_child();
    int handle = open_handle(pid), status = 0;

    REQUIRE(mproc_pidfd_has_ended(handle) == 0);
    REQUIRE(mproc_pidfd_is_stopped(handle) == 0);
    REQUIRE(mproc_pidfd_signal(handle, SIGSTOP) == 0);
    while (mproc_pidfd_is_stopped(handle) == 0)
        usleep(1000);
    REQUIRE(mproc_pidfd_signal(handle, SIGCONT) == 0);
    REQUIRE(mproc_pidfd_has_ended(handle) == 0);
    REQUIRE(mproc_pidfd_signal_group(handle, SIGUSR1) == 0);
    require_end(handle);
    /* Ended, but its number is still its own. */
    REQUIRE(mproc_pidfd_signal(handle, SIGKILL) == 0);
    REQUIRE(mproc_reap(pid, handle, &status) == 0);
    REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
    require_gone(pid, handle);
    REQUIRE(mproc_pidfd_has_ended(handle) == 1);
    REQUIRE(mproc_pidfd_close(handle) == 0);
    REQUIRE(!mproc__is_watched(handle));
}

static void reaped_by_others(void)
{
    pid_t pid = start_child();
    int handle = open_handle(pid);

    kill(pid, SIGKILL);
    REQUIRE(waitpid(pid, NULL, 0) == pid);
    require_end(handle);
    require_gone(pid, handle);
    REQUIRE(mproc_pidfd_close(handle) == 0);
}

/* A grandchild that holds everything which its parent held. */
static void held_by_others(void)
{
    int ends[2], status;
    pid_t grandchild;

    REQUIRE(mproc_pipe(ends) == 0);
    pid_t other = start_child();
    int before = open_handle(other);
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        grandchild = start_child();
        REQUIRE(write(ends[1], &grandchild, sizeof grandchild) ==
                sizeof grandchild);
        _exit(5);
    }
    int handle = open_handle(pid);
    REQUIRE(read(ends[0], &grandchild, sizeof grandchild) ==
            sizeof grandchild);
    require_end(handle);
    REQUIRE(mproc_reap(pid, handle, &status) == 0);
    REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 5);
    REQUIRE(mproc_pidfd_close(handle) == 0);
    /* It also holds the other pipe, by a fork that knows nothing of us. */
    kill(other, SIGKILL);
    require_end(before);
    REQUIRE(mproc_reap(other, before, &status) == 0);
    REQUIRE(mproc_pidfd_close(before) == 0);
    REQUIRE(kill(grandchild, SIGKILL) == 0);
    close(ends[0]);
    close(ends[1]);
}

/* The next fork of this process gets the number, unless another comes first. */
static bool give_number(pid_t pid)
{
    int file = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);

    if (file < 0)
        return false;
    bool is_given = dprintf(file, "%d", (int)pid - 1) > 0;
    close(file);
    return is_given;
}

/* A child of the number that `gone`, which somebody has reaped, had. */
static bool start_namesake(pid_t gone)
{
    for (int attempt = 0; attempt < 100; attempt++) {
        if (!give_number(gone))
            return false;
        pid_t pid = start_child();
        if (pid == gone)
            return true;
        kill(pid, SIGKILL);
        REQUIRE(waitpid(pid, NULL, 0) == pid);
    }
    return false;
}

static void number_reused(void)
{
    int status;

    for (int reaps = 0; reaps < 2; reaps++) {
        pid_t pid = start_child();
        int old = open_handle(pid);
        kill(pid, SIGKILL);
        require_end(old);
        if (reaps)
            REQUIRE(mproc_reap(pid, old, &status) == 0);
        else
            REQUIRE(waitpid(pid, NULL, 0) == pid);
        if (!start_namesake(pid))
            skip_check("a process cannot be given a number here");
        int new = open_handle(pid);
        require_gone(pid, old);
        REQUIRE(mproc_pidfd_has_ended(new) == 0);
        REQUIRE(mproc_pidfd_signal(new, SIGUSR2) == 0);
        require_end(new);
        REQUIRE(mproc_reap(pid, new, &status) == 0);
        REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR2);
        REQUIRE(mproc_pidfd_close(old) == 0);
        REQUIRE(mproc_pidfd_close(new) == 0);
    }
}

static void forgotten_in_a_copy(void)
{
    pid_t pid = start_child();
    int handle = open_handle(pid), status;

    mproc__private_lock();
    pid_t copy = fork();
    if (copy == 0) {
        mproc__private_unlock_copy();
        mproc__private_close_all();
        mproc__watched_forget();
        require_gone(pid, handle);
        REQUIRE(mproc_pidfd_close(handle) == 0);
        _exit(0);
    }
    mproc__private_unlock();
    require_success(copy);
    REQUIRE(mproc_pidfd_has_ended(handle) == 0);
    REQUIRE(mproc_pidfd_signal(handle, SIGKILL) == 0);
    require_end(handle);
    REQUIRE(mproc_reap(pid, handle, &status) == 0);
    REQUIRE(mproc_pidfd_close(handle) == 0);
}

/* MARK: - Many */

static int count_in(const char *path)
{
    int count = 0;
    DIR *directory = opendir(path);

    REQUIRE(directory != NULL);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

struct signaller {
    _Atomic int handle; /* -1: none now */
    _Atomic bool is_done;
    _Atomic bool is_inside;
};

/* Signals whatever is there, up to its reaping and beyond. */
static void *signal_on(void *context)
{
    struct signaller *signaller = context;

    while (!atomic_load(&signaller->is_done)) {
        atomic_store(&signaller->is_inside, true);
        int handle = atomic_load(&signaller->handle);
        if (handle >= 0) {
            int result = mproc_pidfd_signal_group(handle, SIGCONT);
            REQUIRE(result == 0 || result == -ESRCH);
        }
        atomic_store(&signaller->is_inside, false);
        sched_yield();
    }
    return NULL;
}

static void one_cycle(struct signaller *signaller, int number)
{
    int status;
    pid_t pid = start_child();
    int handle = open_handle(pid);

    atomic_store(&signaller->handle, handle);
    if (number % 2)
        kill(pid, SIGKILL);
    else
        REQUIRE(mproc_pidfd_signal(handle, SIGKILL) == 0);
    require_end(handle);
    REQUIRE(mproc_reap(pid, handle, &status) == 0);
    REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    atomic_store(&signaller->handle, -1);
    /* It may have taken the handle before. */
    while (atomic_load(&signaller->is_inside))
        sched_yield();
    REQUIRE(mproc_pidfd_close(handle) == 0);
}

static void many(void)
{
    struct signaller signaller = {.handle = -1};
    pthread_t thread;

    REQUIRE(pthread_create(&thread, NULL, signal_on, &signaller) == 0);
    int files = count_in("/proc/self/fd");
    int threads = count_in("/proc/self/task");
    for (int number = 0; number < CYCLES; number++)
        one_cycle(&signaller, number);
    /* The last thread may be on its way out. */
    while (count_in("/proc/self/fd") > files ||
           count_in("/proc/self/task") > threads)
        usleep(1000);
    for (int i = 0; i < 1024; i++)
        REQUIRE(!mproc__is_watched(i));
    atomic_store(&signaller.is_done, true);
    REQUIRE(pthread_join(thread, NULL) == 0);
}

const struct check watched_checks[] = {
    {"a child without a pidfd is signalled, ends, is reaped once", a_life,
     false},
    {"a child without a pidfd that somebody else reaps", reaped_by_others,
     false},
    {"a child without a pidfd, whose pipe others hold", held_by_others, false},
    {"a number that another child has now gets no signal", number_reused,
     false},
    {"a copy of the application signals none of its children",
     forgotten_in_a_copy, false},
    {"1,000 children without pidfds leave nothing behind", many, false},
    {NULL, NULL, false},
};
