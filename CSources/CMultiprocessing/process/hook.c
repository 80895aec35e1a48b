/* The start-up hook: turns a fresh copy of the program into a child before its
 * `main` is reached.
 *
 * In an ordinary start it returns at once. With the bootstrap variable in the
 * environment it never returns: a copy that fell through to `main` would run
 * the whole application again, and start copies of its own. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mproc_base.h"
#include "process_internal.h"

char **mproc__arguments;

typedef void (*initializer)(int, char **, char **);
extern initializer __init_array_start[] __attribute__((visibility("hidden")));
extern initializer __init_array_end[] __attribute__((visibility("hidden")));

const char *mproc_program_name(void) {
  const char *path = mproc__arguments && mproc__arguments[0]
                         ? mproc__arguments[0]
                         : "";
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static _Noreturn void refuse(const char *why) {
  static const char variable[] = MPROC__BOOTSTRAP_VARIABLE;
  char text[256];
  int size = snprintf(text, sizeof text,
                      "mproc: %s is set, but %s. It is set only for worker "
                      "processes, by the library; unset it.\n",
                      variable, why);
  (void)!write(STDERR_FILENO, text, (size_t)size);
  _exit(127);
}

/* The parent is the process that made the socket. */
static bool is_from_parent(int control) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  return getsockopt(control, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.pid == getppid() || getppid() == 0);
}

static bool is_hung_up(int control) {
  struct pollfd end = {.fd = control, .events = POLLIN};
  return poll(&end, 1, 0) > 0 && (end.revents & POLLHUP);
}

static void hook(int argc, char **argv, char **envp);

/* With a static Swift runtime, entries after ours initialise libdispatch and
 * the runtime itself; without them the first Task hangs. */
static void run_other_initializers(int argc, char **argv, char **envp) {
  size_t count = (size_t)(__init_array_end - __init_array_start), own = 0;
  while (own < count && __init_array_start[own] != hook)
    own++;
  for (size_t i = own + 1; i < count; i++)
    __init_array_start[i](argc, argv, envp);
}

__attribute__((constructor)) static void hook(int argc, char **argv,
                                              char **envp) {
  const char *bootstrap = getenv(MPROC__BOOTSTRAP_VARIABLE);
  mproc__arguments = argv;
  if (!bootstrap)
    return;
  char *end;
  long control = strtol(bootstrap, &end, 10);
  bool is_number = end != bootstrap && *end == 0;
  unsetenv(MPROC__BOOTSTRAP_VARIABLE);
  if (!is_number || control < 0 || control > 1 << 30)
    refuse("it names no descriptor");
  if (!is_from_parent((int)control) && is_hung_up((int)control))
    _exit(0); /* the application has ended meanwhile: nobody to tell */
  if (!is_from_parent((int)control))
    refuse("its descriptor does not lead to the parent process");
  if (fcntl((int)control, F_SETFD, FD_CLOEXEC) < 0)
    refuse("its descriptor is not open");
  struct mproc_start start;
  int result = mproc__receive_start((int)control, &start);
  if (result == -EPIPE)
    _exit(0); /* the application is gone */
  if (result < 0)
    refuse("the start message is not from the same program");
  run_other_initializers(argc, argv, envp);
  if (start.role == MPROC_ROLE_SERVER)
    mproc__run_server(&start);
  mproc__run_child(&start);
}
