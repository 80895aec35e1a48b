/* Shared by the files of process/ alone. */
#ifndef MPROC_PROCESS_INTERNAL_H
#define MPROC_PROCESS_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "mproc_process.h"

#define MPROC__BOOTSTRAP_VARIABLE "MPROC_BOOTSTRAP"

/* pidfd.c */

/* Reaps our own child, which is of no use and leaves by itself, and closes its
 * pidfd; -1: there is none. */
void mproc__reap_failed(pid_t pid, int pidfd);

/* child.c */

/* Signals as a new program has them: nothing blocked, nothing caught. */
void mproc__reset_signals(void);
/* Everything that `start` asks for, then READY or FAILED on the control
 * socket. */
int mproc__set_up(const struct mproc_start *start);
/* Set-up, the Swift side, exit. */
_Noreturn void mproc__run_child(const struct mproc_start *start);

/* lifeline.c */

/* From here on the kernel kills this process's group when the application's
 * end of the lifeline closes. */
int mproc__arm_lifeline(int lifeline);

/* start_message.c */

int mproc__send_start(int control, const struct mproc_start *start,
                      int lifeline);
/* Waits for the message and takes it apart; what `start` points at lives as
 * long as the process. */
int mproc__receive_start(int control, struct mproc_start *start);

/* server.c */
_Noreturn void mproc__run_server(const struct mproc_start *start);

/* Application-only descriptors: a forked child closes them, so that it does
 * not hold its siblings' lifelines open. */
int mproc__private_add(int descriptor);
void mproc__private_close_all(void);

/* The control socket pair and the lifeline pipe of a new child. */
struct mproc__ends {
  int control, child_control; /* the application's end, the child's */
  int lifeline, child_lifeline;
};
int mproc__ends_open(struct mproc__ends *ends, bool outlives);
void mproc__ends_close_child(struct mproc__ends *ends);
void mproc__ends_close(struct mproc__ends *ends);

extern uint32_t mproc__role;

/* The application's own, which its copies get too. */
extern char **mproc__arguments;

#endif
