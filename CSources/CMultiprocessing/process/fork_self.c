/* A fork of the application itself, for bodies with captures.
 *
 * The body runs on a new thread of the copy. The thread that forked has its
 * number in thread-local variables of the Swift runtime, of each object file
 * that uses Mutex, and of libdispatch, and owns locks under it: in the copy
 * that number is wrong, and a contended lock would never be released. A new
 * thread has none of it. The thread that forked only watches (fork_watch.c);
 * what the body captures may lie on its stack. */
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mproc_base.h"
#include "mproc_crash.h"
#include "process_internal.h"

/* What the body's thread and the watching one have in common. */
static struct mproc__copy copy;

/* All streams of the process, in glibc's own list. */
extern FILE *_IO_list_all __attribute__((weak));

/* What the streams hold is the application's to write: it has it too. Not
 * written out before the fork, because a thread that waits in a read holds
 * the lock of its stream. */
static void purge_streams(void) {
  const int is_writing = 0x0800; /* _IO_CURRENTLY_PUTTING of glibc */
  if (!&_IO_list_all)
    return;
  for (FILE *stream = _IO_list_all; stream; stream = stream->_chain)
    if (stream->_flags & is_writing)
      __fpurge(stream);
}

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

static void *run_body(void *context) {
  (void)context;
  mproc_crash_arm_thread();
  atomic_store_explicit(&copy.thread, gettid(), memory_order_release);
  copy.body(copy.context, copy.control);
  _exit(0);
}

static _Noreturn void become_copy(const struct mproc_start *start,
                                  const int gate[2],
                                  const struct mproc__ends *ends) {
  pthread_attr_t attributes;
  pthread_t thread;
  const int kept[] = {gate[0], ends->child_control, ends->child_lifeline,
                      start->standard_output, start->standard_error};
  setpgid(0, 0);
  for (unsigned i = 0; i < sizeof kept / sizeof *kept; i++)
    mproc__private_remove(kept[i]);
  mproc__private_unlock_copy();
  mproc__private_close_all();
  mproc__watched_forget();
  if (!pass_gate(gate[0]))
    _exit(126);
  mproc__reset_signals();
  purge_streams();
  struct mproc_start own = *start;
  own.control = copy.control = ends->child_control;
  own.lifeline = ends->child_lifeline;
  copy.needs_mask = start->affinity;
  if (mproc__apply(&own) < 0)
    _exit(126);
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, mproc__main_stack_size());
  int error = pthread_create(&thread, &attributes, run_body, NULL);
  if (error) {
    mproc__say_failed(copy.control, MPROC_SETUP_THREAD, error);
    _exit(126);
  }
  mproc__watch_copy(&copy);
}

static int count_image(struct dl_phdr_info *info, size_t size, void *context) {
  (void)info;
  (void)size;
  (void)context;
  return 1;
}

void mproc_fork_probe_loader(void) {
  dl_iterate_phdr(count_image, NULL);
}

extern char **environ;

void mproc_fork_set_environment(char **environment) {
  environ = environment;
}

void mproc_fork_begin(void) {
  atomic_store_explicit(&copy.has_begun, true, memory_order_release);
  if (mproc__say_ready(copy.control, copy.needs_mask) < 0)
    _exit(126);
}

int mproc_fork_self(const struct mproc_start *start, bool outlives,
                    void (*body)(void *context, int control), void *context,
                    struct mproc_process *process) {
  struct mproc__ends ends;
  int gate[2], pidfd = -1;
  pid_t pid = -1;
  int result = mproc__ends_open(&ends, outlives);
  if (result < 0)
    return result;
  result = mproc_private_pipe(gate);
  if (result < 0)
    goto failed;
  sigset_t all, before;
  /* No handler of the application may run in the copy before the reset. */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  mproc__private_lock();
  pid = fork();
  if (pid == 0) {
    copy = (struct mproc__copy){.body = body, .context = context};
    become_copy(start, gate, &ends);
  }
  result = pid < 0 ? -errno : 0;
  mproc__private_unlock();
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (result == 0) {
    setpgid(pid, pid);
    pidfd = mproc__hold(pid);
    result = pidfd < 0 ? pidfd : open_gate(gate[1]);
  }
  /* The child's end was kept open: for one that was killed meanwhile the write
   * must not raise SIGPIPE. */
  mproc_private_close(gate[0]);
  mproc_private_close(gate[1]);
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
