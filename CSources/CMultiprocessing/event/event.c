/* The reactor's two needs: a thread of its own, and epoll. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>

#include "mproc_base.h"

int mproc_thread_start(const char *name, void *(*body)(void *), void *context) {
  pthread_t thread;
  sigset_t all, before;
  /* A signal meant for the application must not land on our thread. */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&thread, NULL, body, context);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (error)
    return -error;
  pthread_setname_np(thread, name);
  pthread_detach(thread);
  return 0;
}

int mproc_epoll_create(void) {
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  return epoll < 0 ? -errno : epoll;
}

static int add(int epoll, int descriptor, uint64_t token, uint32_t events) {
  struct epoll_event event = {.events = events, .data.u64 = token};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) < 0 ? -errno : 0;
}

int mproc_epoll_add(int epoll, int descriptor, uint64_t token) {
  return add(epoll, descriptor, token, EPOLLIN);
}

int mproc_epoll_add_once(int epoll, int descriptor, uint64_t token,
                         bool for_output) {
  return add(epoll, descriptor, token,
             (for_output ? EPOLLOUT : EPOLLIN) | EPOLLONESHOT);
}

int mproc_epoll_remove(int epoll, int descriptor) {
  struct epoll_event event = {0};
  return epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, &event) < 0 ? -errno : 0;
}

int mproc_epoll_wait(int epoll, uint64_t *tokens, int capacity,
                     int timeout_ms) {
  struct epoll_event events[64];
  int ready = epoll_wait(epoll, events, capacity < 64 ? capacity : 64,
                         timeout_ms);
  if (ready < 0)
    return errno == EINTR ? 0 : -errno;
  for (int i = 0; i < ready; i++)
    tokens[i] = events[i].data.u64;
  return ready;
}
