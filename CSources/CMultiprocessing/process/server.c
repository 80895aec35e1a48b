/* The fork server: a copy of the program that was stopped before its `main`,
 * stays in C, and forks a child for each request.
 *
 * It forks from a thread that has run nothing else. The Swift runtime, its
 * Mutex and libdispatch keep the number of the thread in thread-local
 * variables, and own locks under it (FUTEX_LOCK_PI). A fork copies these
 * variables: a child of the main thread, which has run the initialisers of the
 * runtime, would own its locks under the server's number, and a contended one
 * would never be released. The child of a fresh thread looks its number up.
 *
 * It owns its children's reaping. It ends when the application closes its end
 * of the request socket, or dies. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mproc_base.h"
#include "process_internal.h"
#include "server_wire.h"

/* Everything that only the server may hold is at or above this number, so that
 * one call closes it in a child, however many siblings there are. */
#define SERVER_DESCRIPTORS 200

struct child {
  uint64_t serial; /* 0: a free place */
  pid_t pid;
  int pidfd;
};

struct server {
  int requests, exits, epoll;
  int control, lifeline; /* the server's own */
  struct child *children;
  size_t capacity;
};

#define TOKEN_REQUESTS UINT64_MAX

static int move_up(int descriptor) {
  int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, SERVER_DESCRIPTORS);
  if (moved < 0) {
    /* RLIMIT_NOFILE is below that: correct, only slower to close. */
    return descriptor;
  }
  close(descriptor);
  return moved;
}

/* The main thread, which waits, and the one that forks. */
static bool has_own_threads_only(void) {
  struct stat status;
  /* Each thread is a subdirectory. Without /proc there is nothing to count. */
  return stat("/proc/self/task", &status) < 0 || status.st_nlink <= 4;
}

static struct child *place_for_child(struct server *server) {
  for (size_t i = 0; i < server->capacity; i++)
    if (server->children[i].serial == 0)
      return &server->children[i];
  size_t capacity = server->capacity ? 2 * server->capacity : 64;
  struct child *children =
      realloc(server->children, capacity * sizeof *children);
  if (!children)
    return NULL;
  for (size_t i = server->capacity; i < capacity; i++)
    children[i].serial = 0;
  struct child *place = &children[server->capacity];
  server->children = children;
  server->capacity = capacity;
  return place;
}

static struct child *child_with(struct server *server, uint64_t serial) {
  for (size_t i = 0; i < server->capacity; i++)
    if (server->children[i].serial == serial)
      return &server->children[i];
  return NULL;
}

static void close_server_descriptors(struct server *server) {
  const int own[] = {server->requests, server->exits, server->epoll,
                     server->control, server->lifeline};
  for (unsigned i = 0; i < sizeof own / sizeof *own; i++)
    if (own[i] >= 0 && own[i] < SERVER_DESCRIPTORS)
      close(own[i]);
  if (syscall(SYS_close_range, SERVER_DESCRIPTORS, ~0u, 0) == 0)
    return;
  for (int i = SERVER_DESCRIPTORS, end = (int)sysconf(_SC_OPEN_MAX); i < end;
       i++)
    close(i);
}

/* Makes the calling thread the owner of libdispatch's main queue. */
extern void dispatch_atfork_child(void) __attribute__((weak));

static _Noreturn void become_child(struct server *server, int control) {
  struct mproc_start start;
  static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGTSTP};
  setpgid(0, 0);
  close_server_descriptors(server);
  /* The server has no handlers; these are all that it changed. */
  for (unsigned i = 0; i < sizeof ignored / sizeof *ignored; i++)
    signal(ignored[i], SIG_DFL);
  int result = mproc__receive_start(control, &start);
  if (result < 0)
    _exit(result == -EPIPE ? 0 : 126);
  /* This thread is the main one now. */
  if (dispatch_atfork_child)
    dispatch_atfork_child();
  mproc__run_child(&start);
}

/* The pid, and the pidfd in `pidfd`, or -errno. */
static int fork_child(struct server *server, uint64_t serial, int control,
                      int *pidfd) {
  if (!has_own_threads_only())
    return -EBUSY;
  struct child *place = place_for_child(server);
  if (!place)
    return -ENOMEM;
  pid_t pid = fork();
  if (pid < 0)
    return -errno;
  if (pid == 0)
    become_child(server, control);
  /* Nobody else reaps our children, so the pid cannot be stale. */
  int descriptor = mproc_pidfd_open(pid), result = descriptor;
  if (descriptor >= 0) {
    descriptor = move_up(descriptor);
    result = mproc_epoll_add(server->epoll, descriptor, serial);
  }
  if (result < 0) {
    /* Its end would not be noticed. It may not lead its group yet. */
    kill(pid, SIGKILL);
    mproc__reap_failed(pid, descriptor);
    return result;
  }
  *place = (struct child){serial, pid, descriptor};
  *pidfd = descriptor;
  return pid;
}

static int send_answer(struct server *server, uint64_t serial, int result,
                       const int *pidfd) {
  struct mproc__forked answer = {
      .serial = serial,
      .error = result < 0 ? -result : 0,
      .pid = result < 0 ? 0 : result,
  };
  struct mproc_piece piece = {&answer, sizeof answer};
  return mproc_send_message(server->requests, &piece, 1, pidfd,
                            result < 0 ? 0 : 1);
}

static void answer_fork(struct server *server, uint64_t serial, int control) {
  int pidfd = -1;
  int result = fork_child(server, serial, control, &pidfd);
  int sent = send_answer(server, serial, result, &pidfd);
  /* A child of which the application does not know leaves by itself: the other
   * end of its control socket is closed with the refusal. Without an answer
   * the application would wait for the time that one may take. */
  if (sent < 0 && send_answer(server, serial, sent, NULL) < 0)
    _exit(126);
}

static void serve_request(struct server *server) {
  struct mproc__request request;
  int control = -1, count = 1;
  ssize_t size = mproc_receive_message(server->requests, &request,
                                       sizeof request, &control, &count, 0);
  if (size == 0)
    _exit(0); /* the application is done with us */
  if (size < 0)
    _exit(126); /* a request is lost: the application asks the next server */
  if (size == sizeof request) {
    struct child *child = child_with(server, request.serial);
    if (request.kind == MPROC__REQUEST_FORK && count > 0)
      answer_fork(server, request.serial, control);
    else if (request.kind == MPROC__REQUEST_SIGNAL && child)
      mproc_signal_group(child->pid, child->pidfd, request.signal);
  }
  if (size > 0 && count == 1)
    close(control);
}

static void reap(struct server *server, uint64_t serial) {
  struct child *child = child_with(server, serial);
  int status;
  if (!child)
    return;
  mproc_epoll_remove(server->epoll, child->pidfd);
  if (mproc_reap(child->pid, child->pidfd, &status) < 0)
    status = MPROC_STATUS_UNKNOWN;
  close(child->pidfd);
  child->serial = 0;
  struct mproc_exit message = {.serial = serial, .status = status};
  struct mproc_piece piece = {&message, sizeof message};
  /* When we are gone the application watches its children itself. */
  if (mproc_send_message(server->exits, &piece, 1, NULL, 0) < 0)
    _exit(126);
}

/* As large as a main thread's may grow. */
static size_t stack_size(void) {
  struct rlimit limit;
  const size_t least = (size_t)8 << 20, unlimited = (size_t)256 << 20;
  if (getrlimit(RLIMIT_STACK, &limit) < 0 || limit.rlim_cur < least)
    return least;
  return limit.rlim_cur < unlimited ? limit.rlim_cur : unlimited;
}

static void *serve(void *context) {
  struct server *server = context;
  uint64_t tokens[64];
  for (;;) {
    int ready = mproc_epoll_wait(server->epoll, tokens, 64, -1);
    if (ready < 0)
      _exit(126);
    for (int i = 0; i < ready; i++) {
      if (tokens[i] == TOKEN_REQUESTS)
        serve_request(server);
      else
        reap(server, tokens[i]);
    }
  }
}

extern void mproc_server_warm_up(void) __attribute__((weak));

_Noreturn void mproc__run_server(const struct mproc_start *start) {
  static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGTSTP};
  struct server server = {0};
  pthread_attr_t attributes;
  pthread_t thread;
  for (unsigned i = 0; i < sizeof ignored / sizeof *ignored; i++)
    signal(ignored[i], SIG_IGN);
  if (mproc__set_up(start) < 0)
    _exit(126);
  mproc__role = 0;
  if (mproc_server_warm_up)
    mproc_server_warm_up();
  server.control = start->control;
  server.lifeline = start->lifeline;
  server.requests = move_up(start->submissions);
  server.exits = move_up(start->completions);
  server.epoll = mproc_epoll_create();
  if (server.epoll < 0)
    _exit(126);
  server.epoll = move_up(server.epoll);
  if (mproc_epoll_add(server.epoll, server.requests, TOKEN_REQUESTS) < 0)
    _exit(126);
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, stack_size());
  if (pthread_create(&thread, &attributes, serve, &server) != 0)
    _exit(126);
  pthread_join(thread, NULL);
  _exit(126); /* `serve` does not return */
}
