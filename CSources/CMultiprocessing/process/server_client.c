/* The application's side of a fork server. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "mproc_base.h"
#include "process_internal.h"
#include "server_wire.h"

int mproc_server_start(const struct mproc_start *start,
                       char *const *environment, struct mproc_server *server) {
  int requests[2], exits[2];
  int result = mproc_private_socket_pair(requests);
  if (result < 0)
    return result;
  result = mproc_private_socket_pair(exits);
  if (result < 0)
    goto close_requests;
  struct mproc_start own = *start;
  own.role = MPROC_ROLE_SERVER;
  own.submissions = requests[1];
  own.completions = exits[1];
  result = mproc_spawn(&own, environment, false, &server->process);
  mproc_private_close(exits[1]);
  if (result < 0)
    goto close_exits;
  mproc_private_close(requests[1]);
  server->requests = requests[0];
  server->exits = exits[0];
  return 0;

close_exits:
  mproc_private_close(exits[0]);
close_requests:
  mproc_private_close(requests[0]);
  mproc_private_close(requests[1]);
  return result;
}

/* The answer to the request `serial`; an older one, whose caller has given
 * up, is dropped. */
static int receive_answer(int requests, uint64_t serial, int timeout_ms,
                          struct mproc__forked *answer, int *pidfd) {
  for (;;) {
    int ready = mproc_wait_readable(requests, timeout_ms);
    if (ready <= 0)
      return ready < 0 ? ready : -ETIMEDOUT;
    int count = 1;
    *pidfd = -1;
    ssize_t size = mproc_receive_message(requests, answer, sizeof *answer,
                                         pidfd, &count, 0);
    if (size == 0)
      return -EPIPE;
    if (size < 0)
      return (int)size;
    if (size == sizeof *answer && answer->serial == serial)
      return answer->error ? -answer->error : count == 1 ? 0 : -EPROTO;
    if (count == 1)
      close(*pidfd);
  }
}

int mproc_server_fork(const struct mproc_server *server,
                      const struct mproc_start *start, bool outlives,
                      uint64_t serial, int timeout_ms,
                      struct mproc_process *process) {
  struct mproc__ends ends;
  struct mproc__forked answer;
  int pidfd = -1;
  int result = mproc__ends_open(&ends, outlives);
  if (result < 0)
    return result;
  struct mproc_start own = *start;
  own.awaits_go = 1;
  /* Sent ahead: the child finds it without another round trip. */
  result = mproc__send_start(ends.control, &own, ends.child_lifeline);
  if (result < 0)
    goto failed;
  struct mproc__request request = {.serial = serial,
                                   .kind = MPROC__REQUEST_FORK};
  struct mproc_piece piece = {&request, sizeof request};
  result = mproc_send_message(server->requests, &piece, 1,
                              &ends.child_control, 1);
  if (result < 0)
    goto failed;
  result = receive_answer(server->requests, serial, timeout_ms, &answer,
                          &pidfd);
  if (result < 0)
    goto failed;
  /* A child that is dead by now shows on the control socket. */
  result = mproc__send_go(ends.control);
  if (result < 0 && result != -EPIPE && result != -ECONNRESET) {
    close(pidfd);
    goto failed;
  }
  mproc__ends_close_child(&ends);
  *process = (struct mproc_process){answer.pid, pidfd, ends.control,
                                    ends.lifeline};
  return 0;

failed:
  mproc__ends_close(&ends);
  return result;
}

int mproc_server_signal_group(const struct mproc_server *server,
                              uint64_t serial, int signal) {
  struct mproc__request request = {
      .serial = serial, .kind = MPROC__REQUEST_SIGNAL, .signal = signal};
  struct mproc_piece piece = {&request, sizeof request};
  return mproc_send_message(server->requests, &piece, 1, NULL, 0);
}
