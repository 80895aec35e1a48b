/* A fork of the application itself, for bodies with captures. */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mproc_base.h"
#include "process_internal.h"

/* The child waits here until the parent holds its pidfd; false: give up. */
static bool pass_gate(int gate) {
  char byte;
  ssize_t taken;
  do
    taken = read(gate, &byte, 1);
  while (taken < 0 && errno == EINTR);
  close(gate);
  return taken == 1;
}

static int open_gate(int gate) {
  ssize_t written;
  do
    written = write(gate, "", 1);
  while (written < 0 && errno == EINTR);
  return written < 0 ? -errno : 0;
}

static int become_child(const struct mproc_start *start, int gate,
                        struct mproc__ends *ends,
                        struct mproc_process *process) {
  setpgid(0, 0);
  mproc__private_close_all();
  if (!pass_gate(gate))
    _exit(126);
  mproc__reset_signals();
  struct mproc_start own = *start;
  own.control = ends->child_control;
  own.lifeline = ends->child_lifeline;
  own.application = getppid();
  if (mproc__set_up(&own) < 0)
    _exit(126);
  *process = (struct mproc_process){getpid(), -1, ends->child_control, -1};
  return 1;
}

int mproc_fork_self(const struct mproc_start *start, bool outlives,
                    struct mproc_process *process) {
  struct mproc__ends ends;
  int gate[2], pidfd = -1;
  pid_t pid = -1;
  int result = mproc__ends_open(&ends, outlives);
  if (result < 0)
    return result;
  result = mproc_pipe(gate);
  if (result < 0)
    goto failed;
  sigset_t all, before;
  /* No handler of the application may run in the child before the reset. */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid = fork();
  if (pid == 0) {
    close(gate[1]);
    return become_child(start, gate[0], &ends, process);
  }
  result = pid < 0 ? -errno : 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (result == 0) {
    setpgid(pid, pid);
    pidfd = mproc_pidfd_open(pid);
    result = pidfd < 0 ? pidfd : open_gate(gate[1]);
  }
  /* The child's end was kept open: for one that was killed meanwhile the write
   * must not raise SIGPIPE. */
  close(gate[0]);
  close(gate[1]);
  if (result < 0)
    goto failed;
  mproc__ends_close_child(&ends);
  *process = (struct mproc_process){pid, pidfd, ends.control, ends.lifeline};
  return 0;

failed:
  if (pid > 0)
    mproc__reap_failed(pid, pidfd);
  mproc__ends_close(&ends);
  return result;
}
