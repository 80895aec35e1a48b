/* Watching, signalling and reaping one process through its pidfd, or what is
 * in the place of one where the kernel, or a container's profile, refuses
 * pidfds (watched.c). */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mproc_base.h"
#include "mproc_process.h"
#include "process_internal.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#define MPROC__SIGNAL_PROCESS_GROUP 4u /* PIDFD_SIGNAL_PROCESS_GROUP */

int mproc__pidfd_open(pid_t pid) {
  long descriptor = syscall(SYS_pidfd_open, pid, 0);
  return descriptor < 0 ? -errno : (int)descriptor;
}

static int send_signal(int pidfd, int signal, unsigned flags) {
  return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, flags) < 0 ? -errno
                                                                        : 0;
}

/* Linux has this since 5.4, the calls since 5.3. */
static int can_wait(int pidfd) {
  siginfo_t info;
  return waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info,
                WEXITED | WNOWAIT | WNOHANG) < 0 &&
                 errno == EINVAL
             ? -ENOSYS
             : 0;
}

/* What a kernel without the call answers, and a profile that refuses it. */
static bool is_refusal(int error) {
  return error == -ENOSYS || error == -EPERM;
}

int mproc_pidfds_granted(void) {
  enum { UNKNOWN, GRANTED, REFUSED };
  static _Atomic int answer = UNKNOWN;
  int known = atomic_load_explicit(&answer, memory_order_relaxed);
  if (known == UNKNOWN) {
    int pidfd = mproc__pidfd_open(getpid());
    int result = pidfd < 0 ? pidfd : send_signal(pidfd, 0, 0);
    if (result == 0)
      result = can_wait(pidfd);
    if (pidfd >= 0)
      close(pidfd);
    if (result < 0 && !is_refusal(result))
      return result;
    known = result < 0 ? REFUSED : GRANTED;
    atomic_store_explicit(&answer, known, memory_order_relaxed);
  }
  return known == GRANTED;
}

int mproc__hold(pid_t pid) {
  return mproc_pidfds_granted() == 0 ? mproc__watched_open(pid)
                                     : mproc__pidfd_open(pid);
}

int mproc_pidfd_close(int pidfd) {
  return mproc__is_watched(pidfd) ? mproc__watched_close(pidfd)
                                  : mproc_close(pidfd);
}

static bool is_hung_up(int socket) {
  struct pollfd end = {.fd = socket, .events = POLLRDHUP};
  int result;
  do
    result = poll(&end, 1, 0);
  while (result < 0 && errno == EINTR);
  return result > 0;
}

int mproc_parent_open(pid_t parent, int control) {
  int pidfd = mproc__pidfd_open(parent);
  /* The number may be another process's by now; it is not when the parent was
   * alive after it was looked up. */
  if (control >= 0 ? !is_hung_up(control) : getppid() == parent)
    return pidfd;
  if (pidfd >= 0)
    close(pidfd);
  return -ESRCH;
}

int mproc_pidfd_signal(int pidfd, int signal) {
  return mproc__is_watched(pidfd) ? mproc__watched_signal(pidfd, signal, false)
                                  : send_signal(pidfd, signal, 0);
}

int mproc_pidfd_signal_group(int pidfd, int signal) {
  return mproc__is_watched(pidfd)
             ? mproc__watched_signal(pidfd, signal, true)
             : send_signal(pidfd, signal, MPROC__SIGNAL_PROCESS_GROUP);
}

int mproc_pidfd_has_ended(int pidfd) {
  return mproc_wait_readable(pidfd, 0);
}

int mproc_pidfd_is_stopped(int pidfd) {
  siginfo_t info;
  if (mproc__is_watched(pidfd))
    return mproc__watched_is_stopped(pidfd);
  info.si_pid = 0;
  return waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info,
                WSTOPPED | WNOWAIT | WNOHANG) == 0 &&
         info.si_pid != 0;
}

/* 1 while the child is ours and not reaped; then its pid, and so its group's
 * number, cannot be anybody else's. */
static int is_ours(int pidfd) {
  siginfo_t info;
  info.si_pid = 0;
  int result;
  do
    result = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info,
                    WEXITED | WNOWAIT | WNOHANG);
  while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : 1;
}

int mproc_signal_group(pid_t pid, int pidfd, int signal) {
  if (mproc__is_watched(pidfd))
    return mproc__watched_signal(pidfd, signal, true);
  int result = is_ours(pidfd);
  if (result < 0)
    return result;
  return kill(-pid, signal) < 0 ? -errno : 0;
}

static int reap(pid_t pid, int pidfd, siginfo_t *info) {
  int result = is_ours(pidfd);
  if (result < 0)
    return result;
  kill(-pid, SIGKILL);
  do
    result = waitid((idtype_t)P_PIDFD, (id_t)pidfd, info, WEXITED);
  while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : 0;
}

int mproc_reap(pid_t pid, int pidfd, int *status) {
  siginfo_t info;
  int result = mproc__is_watched(pidfd) ? mproc__watched_reap(pidfd, &info)
                                        : reap(pid, pidfd, &info);
  if (result < 0)
    return result;
  *status = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8
            : info.si_code == CLD_DUMPED ? info.si_status | 0x80
                                         : info.si_status;
  return 0;
}

void mproc__reap_failed(pid_t pid, int pidfd) {
  int status;
  if (pidfd >= 0) {
    mproc_reap(pid, pidfd, &status);
    mproc_pidfd_close(pidfd);
    return;
  }
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
    ;
}

int64_t mproc_resident_bytes(pid_t pid) {
  char path[40], text[128];
  snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return -errno;
  ssize_t size = read(descriptor, text, sizeof text - 1);
  close(descriptor);
  if (size <= 0)
    return -EIO;
  text[size] = 0;
  char *end;
  strtoull(text, &end, 10);
  return (int64_t)strtoull(end, NULL, 10) * sysconf(_SC_PAGESIZE);
}
