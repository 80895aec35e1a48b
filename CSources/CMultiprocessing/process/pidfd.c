/* Watching, signalling and reaping one process through its pidfd. */
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

int mproc_pidfd_open(int32_t pid) {
  long descriptor = syscall(SYS_pidfd_open, pid, 0);
  return descriptor < 0 ? -errno : (int)descriptor;
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
  pid_t starter = getppid();
  int pidfd = mproc_pidfd_open(parent ? parent : starter);
  if (pidfd < 0)
    return pidfd;
  /* The number may be another process's by now; it is not when the parent was
   * alive after it was looked up. */
  if (parent ? !is_hung_up(control) : getppid() == starter)
    return pidfd;
  close(pidfd);
  return -ESRCH;
}

int mproc_pidfd_signal(int pidfd, int signal) {
  return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno
                                                                    : 0;
}

int mproc_pidfd_signal_group(int pidfd, int signal) {
  return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL,
                 MPROC__SIGNAL_PROCESS_GROUP) < 0
             ? -errno
             : 0;
}

int mproc_pidfd_has_ended(int pidfd) {
  return mproc_wait_readable(pidfd, 0);
}

int mproc_pidfd_is_stopped(int pidfd) {
  siginfo_t info;
  info.si_pid = 0;
  return waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info,
                WSTOPPED | WNOWAIT | WNOHANG) == 0 &&
         info.si_pid != 0;
}

/* 1 while the child is ours and not reaped; then its pid, and so its group's
 * number, cannot be anybody else's. */
static int is_ours(int pidfd, int options) {
  siginfo_t info;
  info.si_pid = 0;
  int result;
  do
    result = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info,
                    WEXITED | WNOWAIT | WNOHANG | options);
  while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : 1;
}

int mproc_signal_group(pid_t pid, int pidfd, int signal) {
  int result = is_ours(pidfd, 0);
  if (result < 0)
    return result;
  return kill(-pid, signal) < 0 ? -errno : 0;
}

int mproc_reap(pid_t pid, int pidfd, int *status) {
  siginfo_t info;
  int result = is_ours(pidfd, 0);
  if (result < 0)
    return result;
  kill(-pid, SIGKILL);
  do
    result = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED);
  while (result < 0 && errno == EINTR);
  if (result < 0)
    return -errno;
  *status = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8
            : info.si_code == CLD_DUMPED ? info.si_status | 0x80
                                         : info.si_status;
  return 0;
}

void mproc__reap_failed(pid_t pid, int pidfd) {
  int status;
  if (pidfd >= 0) {
    mproc_reap(pid, pidfd, &status);
    close(pidfd);
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
