/* Our own children where pidfds are refused: by number.
 *
 * The handle is the reading end of a pipe. A thread for each child waits until
 * it has ended, without reaping it, and then writes to the pipe: so the handle
 * becomes readable and stays so, whatever other processes hold of the pipe,
 * and also for a child that somebody else reaps.
 *
 * A number is another process's from the moment when it is reaped. So the
 * table of numbers has a lock that signals and reaping share, and a signal is
 * sent only after a look whether the child is still ours. (One that somebody
 * else reaps between that look and the signal, the next system call, would
 * have to be followed at once by another process of its number.) The lock is
 * the one that a fork of this process takes too. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mproc_base.h"
#include "process_internal.h"

enum { NONE = 0, REAPED = -1 };

static pid_t *numbers; /* of each handle, or NONE, or REAPED */
static int capacity;
/* Relaxed: who has a handle was given it after this was set. */
static _Atomic bool is_used;

bool mproc__is_watched(int handle) {
  if (!atomic_load_explicit(&is_used, memory_order_relaxed))
    return false;
  mproc__private_lock();
  bool is_watched = handle >= 0 && handle < capacity &&
                    numbers[handle] != NONE;
  mproc__private_unlock();
  return is_watched;
}

static int note(int handle, pid_t pid) {
  if (handle >= capacity) {
    int larger = handle < 64 ? 128 : 2 * handle; /* files are limited to 2^30 */
    pid_t *moved = realloc(numbers, (size_t)larger * sizeof *moved);
    if (!moved)
      return -ENOMEM;
    for (int i = capacity; i < larger; i++)
      moved[i] = NONE;
    numbers = moved;
    capacity = larger;
  }
  /* Whoever had the number before was reaped by somebody else. */
  for (int i = 0; i < capacity; i++)
    if (numbers[i] == pid)
      numbers[i] = REAPED;
  numbers[handle] = pid;
  atomic_store_explicit(&is_used, true, memory_order_relaxed);
  return 0;
}

static int look_at(pid_t pid, siginfo_t *info, int options) {
  int result;
  info->si_pid = 0;
  do
    result = waitid(P_PID, (id_t)pid, info, options);
  while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : 0;
}

/* With the lock. The number, while it is our child's, running or ended; else
 * -1. */
static pid_t number_of(int handle) {
  siginfo_t info;
  pid_t pid = numbers[handle];
  if (pid <= 0)
    return -1;
  if (look_at(pid, &info, WEXITED | WNOWAIT | WNOHANG) == 0)
    return pid;
  numbers[handle] = REAPED;
  return -1;
}

/* MARK: - The thread */

struct watch {
  pid_t pid;
  int end; /* of the pipe, for writing */
};

static void *watch_child(void *context) {
  struct watch watch = *(struct watch *)context;
  siginfo_t info;
  free(context);
  /* -ECHILD: somebody else has reaped it. */
  look_at(watch.pid, &info, WEXITED | WNOWAIT);
  /* A byte and not the end of the pipe alone: another fork of this process may
   * hold the end too. Nobody may be left to read it; SIGPIPE is blocked. */
  (void)!write(watch.end, "", 1);
  mproc_private_close(watch.end);
  return NULL;
}

/* The pipe, with the number of its child; nothing where that fails. */
static int open_pipe(pid_t pid, int ends[2]) {
  mproc__private_lock();
  int result = mproc_pipe(ends);
  if (result == 0) {
    result = note(ends[0], pid);
    if (result == 0) {
      mproc__private_add(ends[1]);
    } else {
      close(ends[0]);
      close(ends[1]);
    }
  }
  mproc__private_unlock();
  return result;
}

int mproc__watched_open(pid_t pid) {
  int ends[2];
  struct watch *watch = malloc(sizeof *watch);
  if (!watch)
    return -ENOMEM;
  int result = open_pipe(pid, ends);
  if (result < 0)
    goto failed;
  *watch = (struct watch){pid, ends[1]};
  result = mproc_thread_start("mproc-watch", watch_child, watch);
  if (result == 0)
    return ends[0];
  mproc_private_close(ends[1]);
  mproc__watched_close(ends[0]);

failed:
  free(watch);
  return result;
}

/* MARK: - What is done with a handle */

int mproc__watched_signal(int handle, int signal, bool is_for_group) {
  int result = -ESRCH;
  mproc__private_lock();
  pid_t pid = number_of(handle);
  if (pid > 0)
    result = kill(is_for_group ? -pid : pid, signal) < 0 ? -errno : 0;
  mproc__private_unlock();
  return result;
}

bool mproc__watched_is_stopped(int handle) {
  siginfo_t info;
  mproc__private_lock();
  pid_t pid = number_of(handle);
  bool is_stopped =
      pid > 0 && look_at(pid, &info, WSTOPPED | WNOWAIT | WNOHANG) == 0 &&
      info.si_pid != 0;
  mproc__private_unlock();
  return is_stopped;
}

int mproc__watched_reap(int handle, siginfo_t *info) {
  mproc__private_lock();
  pid_t pid = number_of(handle);
  if (pid > 0)
    kill(-pid, SIGKILL);
  mproc__private_unlock();
  /* Without the lock: it may take its time. */
  int result = pid > 0 ? look_at(pid, info, WEXITED | WNOWAIT) : -ECHILD;
  if (result < 0)
    return result;
  mproc__private_lock();
  /* Another thread may have done the same. */
  result = numbers[handle] == pid ? look_at(pid, info, WEXITED | WNOHANG)
                                  : -ECHILD;
  numbers[handle] = REAPED;
  mproc__private_unlock();
  return result;
}

int mproc__watched_close(int handle) {
  mproc__private_lock();
  numbers[handle] = NONE;
  int result = mproc_close(handle);
  mproc__private_unlock();
  return result;
}

void mproc__watched_forget(void) {
  for (int i = 0; i < capacity; i++)
    if (numbers[i] != NONE)
      numbers[i] = REAPED;
}
