/* The lifeline: a pipe whose other end the application alone holds. When that
 * closes, whatever ended the application, the kernel ends the child's group. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "process_internal.h"

int mproc__arm_lifeline(int lifeline) {
  struct pollfd end = {.fd = lifeline, .events = POLLIN};
  /* The owner is the group, so that grandchildren in it go too. Nothing is
   * ever written to the pipe: the only event is its closing. */
  if (fcntl(lifeline, F_SETOWN, -getpgrp()) < 0 ||
      fcntl(lifeline, F_SETSIG, SIGKILL) < 0 ||
      fcntl(lifeline, F_SETFL, O_ASYNC) < 0)
    return -errno;
  /* The signal is not retroactive. */
  int gone;
  do
    gone = poll(&end, 1, 0);
  while (gone < 0 && errno == EINTR);
  if (gone > 0)
    _exit(0);
  return gone < 0 ? -errno : 0;
}
