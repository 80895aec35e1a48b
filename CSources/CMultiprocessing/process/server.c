/* The fork server: a copy of the program that was stopped before its `main`
 * and forks a child for each request.
 *
 * Its main thread runs the preload body, if there is one, and then waits. It
 * forks from a thread that has run nothing else. The Swift runtime, its Mutex
 * and libdispatch keep the number of the thread in thread-local variables, and
 * own locks under it (FUTEX_LOCK_PI). A fork copies these variables: a child
 * of the main thread would own its locks under the server's number, and a
 * contended one would never be released. The child of a fresh thread looks its
 * number up.
 *
 * It owns its children's reaping. It ends when the application closes its end
 * of the request socket, or dies. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mproc_base.h"
#include "mproc_crash.h"
#include "process_internal.h"
#include "server_internal.h"
#include "server_wire.h"

#define TOKEN_REQUESTS UINT64_MAX

/* Without /proc there is nothing to count. */
static bool has_threads_only(unsigned count) {
  struct stat status;
  /* Each thread is a subdirectory. */
  return stat("/proc/self/task", &status) < 0 || status.st_nlink <= count + 2;
}

/* A thread that has been joined may still be on its way out. */
static bool has_become_single(void) {
  for (int i = 0; i < 50 && !has_threads_only(1); i++)
    usleep(2000);
  return has_threads_only(1);
}

static struct mproc__server_child *place_for_child(
    struct mproc__server *server) {
  for (size_t i = 0; i < server->capacity; i++)
    if (server->children[i].serial == 0)
      return &server->children[i];
  size_t capacity = server->capacity ? 2 * server->capacity : 64;
  struct mproc__server_child *children =
      realloc(server->children, capacity * sizeof *children);
  if (!children)
    return NULL;
  for (size_t i = server->capacity; i < capacity; i++)
    children[i].serial = 0;
  struct mproc__server_child *place = &children[server->capacity];
  server->children = children;
  server->capacity = capacity;
  return place;
}

static struct mproc__server_child *child_with(struct mproc__server *server,
                                              uint64_t serial) {
  for (size_t i = 0; i < server->capacity; i++)
    if (server->children[i].serial == serial)
      return &server->children[i];
  return NULL;
}

/* Takes care of a new child: its pidfd, or -errno and it is gone. `control` is
 * the child's end of its control socket. */
static int adopt(struct mproc__server *server, uint64_t serial, pid_t pid,
                 int control, struct mproc__server_child *place) {
  int moved = -1;
  /* Nobody else reaps our children, so the pid cannot be stale. */
  int pidfd = mproc__pidfd_open(pid);
  if (pidfd >= 0)
    moved = mproc__server_move_up(server, pidfd);
  int result = pidfd < 0 ? pidfd
               : moved < 0 ? moved
                           : mproc_epoll_add(server->epoll, moved, serial);
  if (result >= 0) {
    *place = (struct mproc__server_child){serial, pid, moved};
    return moved;
  }
  /* Its end would not be noticed. Without its control socket it leaves by
   * itself. */
  shutdown(control, SHUT_RDWR);
  mproc__reap_failed(pid, moved >= 0 ? moved : pidfd);
  return result;
}

/* The pid, and the pidfd in `pidfd`, or -errno. */
static int fork_child(struct mproc__server *server, uint64_t serial,
                      int control, int *pidfd) {
  /* The main thread, which waits, and this one. */
  if (!has_threads_only(2))
    return -EBUSY;
  struct mproc__server_child *place = place_for_child(server);
  if (!place)
    return -ENOMEM;
  pid_t pid = fork();
  if (pid < 0)
    return -errno;
  if (pid == 0)
    mproc__server_become_child(server, control);
  int result = adopt(server, serial, pid, control, place);
  if (result < 0)
    return result;
  *pidfd = result;
  return pid;
}

static int send_answer(struct mproc__server *server, uint64_t serial,
                       int result, const int *pidfd) {
  struct mproc__forked answer = {
      .serial = serial,
      .error = result < 0 ? -result : 0,
      .pid = result < 0 ? 0 : result,
  };
  struct mproc_piece piece = {&answer, sizeof answer};
  return mproc_send_message(server->requests, &piece, 1, pidfd,
                            result < 0 ? 0 : 1);
}

static void answer_fork(struct mproc__server *server, uint64_t serial,
                        int control) {
  int pidfd = -1;
  int result = fork_child(server, serial, control, &pidfd);
  int sent = send_answer(server, serial, result, &pidfd);
  /* A child of which the application does not know leaves by itself: the other
   * end of its control socket is closed with the refusal. Without an answer
   * the application would wait for the time that one may take. */
  if (sent < 0 && send_answer(server, serial, sent, NULL) < 0)
    _exit(126);
}

static void serve_request(struct mproc__server *server) {
  struct mproc__request request;
  int control = -1, count = 1;
  ssize_t size = mproc_receive_message(server->requests, &request,
                                       sizeof request, &control, &count, 0);
  if (size == 0)
    _exit(0); /* the application is done with us */
  if (size < 0)
    _exit(126); /* a request is lost: the application asks the next server */
  if (size == sizeof request) {
    struct mproc__server_child *child = child_with(server, request.serial);
    if (request.kind == MPROC__REQUEST_FORK && count > 0)
      answer_fork(server, request.serial, control);
    else if (request.kind == MPROC__REQUEST_SIGNAL && child)
      mproc_signal_group(child->pid, child->pidfd, request.signal);
  }
  if (size > 0 && count == 1)
    close(control);
}

static void reap(struct mproc__server *server, uint64_t serial) {
  struct mproc__server_child *child = child_with(server, serial);
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

/* Tells the application whether there is a server now; it learns of one that
 * cannot say so from its end. */
static void say_serving(int control, bool serves) {
  struct mproc_serving serving = {MPROC_MESSAGE_SERVING, serves};
  struct mproc_piece piece = {&serving, sizeof serving};
  if (mproc_send_message(control, &piece, 1, NULL, 0) < 0)
    _exit(126);
}

static void *serve(void *context) {
  struct mproc__server *server = context;
  uint64_t tokens[64];
  say_serving(server->control, true);
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

extern int mproc_server_prepare(const struct mproc_start *start)
    __attribute__((weak));

_Noreturn void mproc__run_server(const struct mproc_start *start) {
  struct mproc__server server = {
      .requests = start->submissions,
      .exits = start->completions,
      .control = start->control,
      .lifeline = start->lifeline,
  };
  pthread_t thread;
  mproc__server_handle_signals(SIG_IGN);
  if (mproc__apply(start) < 0)
    _exit(126);
  if (mproc_server_prepare && mproc_server_prepare(start) < 0)
    _exit(0); /* it has told why */
  /* Its children have records of their own. */
  mproc_crash_disarm();
  mproc__role = 0;
  if (!has_become_single()) {
    say_serving(server.control, false);
    _exit(0);
  }
  /* What the streams hold would be written by every child. */
  mproc_flush_standard_streams();
  server.epoll = mproc_epoll_create();
  if (server.epoll < 0 || mproc__server_separate(&server) < 0 ||
      mproc_epoll_add(server.epoll, server.requests, TOKEN_REQUESTS) < 0)
    _exit(126);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, mproc__main_stack_size());
  if (pthread_create(&thread, &attributes, serve, &server) != 0)
    _exit(126);
  pthread_join(thread, NULL);
  _exit(126); /* `serve` does not return */
}
