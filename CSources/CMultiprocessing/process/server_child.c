/* What a fork server's child holds of its server: the descriptors that both
 * share, and nothing else. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mproc_base.h"
#include "process_internal.h"
#include "server_internal.h"

/* Room between what is shared and what is the server's alone, for what a
 * request brings: so that a child gets low numbers. */
#define ROOM 16

static int highest_descriptor(void) {
  int highest = STDERR_FILENO;
  DIR *directory = opendir("/proc/self/fd");
  if (!directory)
    return 255; /* no /proc: more than a program opens while it is loaded */
  for (struct dirent *entry; (entry = readdir(directory));) {
    int descriptor = atoi(entry->d_name);
    if (descriptor > highest && descriptor != dirfd(directory))
      highest = descriptor;
  }
  closedir(directory);
  return highest;
}

void mproc__server_handle_signals(void (*handler)(int)) {
  static const int terminal[] = {SIGINT, SIGTERM, SIGHUP, SIGTSTP};
  for (unsigned i = 0; i < sizeof terminal / sizeof *terminal; i++)
    signal(terminal[i], handler);
}

int mproc__server_move_up(struct mproc__server *server, int descriptor) {
  int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, server->last_shared + ROOM);
  if (moved < 0)
    return -errno;
  close(descriptor);
  if (moved > server->highest)
    server->highest = moved;
  return moved;
}

int mproc__server_separate(struct mproc__server *server) {
  int *const own[] = {&server->requests, &server->exits, &server->epoll,
                      &server->control, &server->lifeline};
  struct rlimit raised;
  server->last_shared = highest_descriptor();
  if (getrlimit(RLIMIT_NOFILE, &server->open_files) < 0)
    return -errno;
  raised = server->open_files;
  raised.rlim_cur = raised.rlim_max;
  setrlimit(RLIMIT_NOFILE, &raised);
  for (unsigned i = 0; i < sizeof own / sizeof *own; i++) {
    int moved = *own[i] < 0 ? -1 : mproc__server_move_up(server, *own[i]);
    if (*own[i] >= 0 && moved < 0)
      return moved;
    *own[i] = moved;
  }
  /* With its own out of the way, what is left is shared. */
  while (server->last_shared > STDERR_FILENO &&
         fcntl(server->last_shared, F_GETFD) < 0)
    server->last_shared--;
  return 0;
}

static void close_from(const struct mproc__server *server, int first) {
  if (syscall(SYS_close_range, first, ~0u, 0) == 0)
    return;
  for (int descriptor = first; descriptor <= server->highest; descriptor++)
    close(descriptor);
}

/* Makes the calling thread the owner of libdispatch's main queue. */
extern void dispatch_atfork_child(void) __attribute__((weak));

_Noreturn void mproc__server_become_child(const struct mproc__server *server,
                                          int control) {
  struct mproc_start start;
  int first = server->last_shared + 1;
  setpgid(0, 0);
  /* Behind what is shared there is to be the control socket alone. It may
   * also lie in a gap between. */
  if (control >= first) {
    if (control > first && dup3(control, first, O_CLOEXEC) < 0)
      _exit(126);
    control = first++;
  }
  close_from(server, first);
  setrlimit(RLIMIT_NOFILE, &server->open_files);
  /* The server has no handlers: these are all that it changed. */
  mproc__server_handle_signals(SIG_DFL);
  int result = mproc__receive_start(control, &start);
  if (result < 0)
    _exit(result == -EPIPE ? 0 : 126);
  /* This thread is the main one now. */
  if (dispatch_atfork_child)
    dispatch_atfork_child();
  mproc__run_child(&start);
}
