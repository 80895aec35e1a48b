/* What the application and a fork server say to each other, one datagram
 * each. */
#ifndef MPROC_SERVER_WIRE_H
#define MPROC_SERVER_WIRE_H

#include <stdint.h>

enum mproc__request_kind {
  MPROC__REQUEST_FORK = 1, /* with the child's end of its control socket */
  MPROC__REQUEST_SIGNAL = 2,
};
struct mproc__request {
  uint64_t serial;
  uint32_t kind;
  int32_t signal;
};
/* FORK's answer, with the pidfd when `error` is 0. */
struct mproc__forked {
  uint64_t serial;
  int32_t error;
  int32_t pid;
};

#endif
