/* Shared by the files of process/ alone. */
#ifndef MPROC_PROCESS_INTERNAL_H
#define MPROC_PROCESS_INTERNAL_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "mproc_process.h"

#define MPROC__BOOTSTRAP_VARIABLE "MPROC_BOOTSTRAP"

/* pidfd.c */

/* A pidfd of a process that has not been reaped, close-on-exec. */
int mproc__pidfd_open(pid_t pid);
/* A handle of our own child, which is not reaped: a pidfd, or where those are
 * refused what watched.c has in its place. */
int mproc__hold(pid_t pid);
/* Reaps our own child, which is of no use and leaves by itself, and closes its
 * pidfd; -1: there is none. */
void mproc__reap_failed(pid_t pid, int pidfd);

/* watched.c: our own children where pidfds are refused. The other functions
 * take only handles for which mproc__is_watched is true. */
int mproc__watched_open(pid_t pid);
bool mproc__is_watched(int handle);
/* -ESRCH when it has been reaped. */
int mproc__watched_signal(int handle, int signal, bool is_for_group);
bool mproc__watched_is_stopped(int handle);
/* Kills what is left of its group, and reaps it once it has ended; -ECHILD when
 * somebody has. */
int mproc__watched_reap(int handle, siginfo_t *info);
int mproc__watched_close(int handle);
/* In a forked copy, whose children they are not. */
void mproc__watched_forget(void);

/* child.c */

/* Signals as a new program has them: nothing blocked, nothing caught. */
void mproc__reset_signals(void);
/* Everything that `start` asks for; FAILED on the control socket where that
 * cannot be. */
int mproc__apply(const struct mproc_start *start);
/* With the CPU mask; FAILED where it must be known and is not. */
int mproc__say_ready(int control, bool needs_mask);
void mproc__say_failed(int control, enum mproc_setup_step step, int error);
/* For a thread that is to have as much stack as a main one may take. */
size_t mproc__main_stack_size(void);
/* Set-up, the Swift side, exit. */
_Noreturn void mproc__run_child(const struct mproc_start *start);

/* lifeline.c */

/* From here on the kernel kills this process's group when the application's
 * end of the lifeline closes. */
int mproc__arm_lifeline(int lifeline);

/* fork_self.c, fork_watch.c */

/* A forked copy of the application: what its two threads share. */
struct mproc__copy {
  void (*body)(void *context, int control);
  void *context;
  int control;
  bool needs_mask;
  _Atomic pid_t thread; /* that runs the body; 0: not yet */
  _Atomic bool has_begun; /* READY has been said */
};
/* Watches the copy from the thread that forked, until it ends. */
_Noreturn void mproc__watch_copy(struct mproc__copy *copy);

/* start_message.c */

int mproc__send_start(int control, const struct mproc_start *start,
                      int lifeline);
/* Waits for the message and takes it apart; what `start` points at lives as
 * long as the process. */
int mproc__receive_start(int control, struct mproc_start *start);
/* The child may enter its body; false: it must end, its start has failed. */
int mproc__send_go(int control);
bool mproc__receive_go(int control);

/* server.c */
_Noreturn void mproc__run_server(const struct mproc_start *start);

/* ends.c */

/* A forked copy closes all that is marked private, so that it does not hold
 * its siblings' lifelines and streams open, except what was removed before:
 * true when it was marked. */
void mproc__private_add(int descriptor);
bool mproc__private_remove(int descriptor);
void mproc__private_close_all(void);
/* Around a fork of this process; the copy unlocks with the last one. */
void mproc__private_lock(void);
void mproc__private_unlock(void);
void mproc__private_unlock_copy(void);

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
