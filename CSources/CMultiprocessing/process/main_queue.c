/* The main queue of a child, which carries the jobs of the main actor. A
 * child's main thread serves bodies and never enters dispatch_main, so it
 * drains the queue while a body is suspended, as CFRunLoop does on Linux and
 * by the same two functions of libdispatch. */
#include <errno.h>
#include <poll.h>
#include <stddef.h>

#include "mproc_base.h"
#include "mproc_process.h"

extern int _dispatch_get_main_queue_handle_4CF(void) __attribute__((weak));
extern void _dispatch_main_queue_callback_4CF(void *message)
    __attribute__((weak));

void mproc_main_thread_wait(int wake) {
  struct pollfd sources[2] = {{.fd = wake, .events = POLLIN},
                              {.fd = -1, .events = POLLIN}};
  if (_dispatch_get_main_queue_handle_4CF && _dispatch_main_queue_callback_4CF)
    sources[1].fd = _dispatch_get_main_queue_handle_4CF();
  if (poll(sources, 2, -1) < 0)
    return; /* EINTR: the caller looks again */
  if (sources[0].revents)
    mproc_eventfd_take(wake);
  if (sources[1].revents) {
    mproc_eventfd_take(sources[1].fd);
    _dispatch_main_queue_callback_4CF(NULL);
  }
}
