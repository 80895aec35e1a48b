/* Shared by the files of the fork server alone. */
#ifndef MPROC_SERVER_INTERNAL_H
#define MPROC_SERVER_INTERNAL_H

#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

struct mproc__server_child {
  uint64_t serial; /* 0: a free place */
  pid_t pid;
  int pidfd;
};

struct mproc__server {
  int requests, exits, epoll;
  int control, lifeline; /* the server's own */
  /* The highest descriptor that its children are to have, and the highest
   * that it ever had. */
  int last_shared, highest;
  /* The application's limit, which its children get back. */
  struct rlimit open_files;
  struct mproc__server_child *children;
  size_t capacity;
};

/* server_child.c */

/* What ends the application must not end its server. */
void mproc__server_handle_signals(void (*handler)(int));
/* Moves everything that only the server may hold above what its children
 * share, and raises the limit of open files: it holds one for each child. */
int mproc__server_separate(struct mproc__server *server);
/* Moves one descriptor there: its new number. */
int mproc__server_move_up(struct mproc__server *server, int descriptor);
/* In a new child, whose control socket is `control`. */
_Noreturn void mproc__server_become_child(const struct mproc__server *server,
                                          int control);

#endif
