/* A command as a child process with its own CPU mask, for a program that does
 * nothing but start commands and wait for them (mproc run).
 *
 * The child stays in the caller's process group, so that a terminal's signals
 * and those of timeout(1) reach it, and dies with the caller.
 */
#ifndef MPROC_LAUNCH_H
#define MPROC_LAUNCH_H

#include <stddef.h>
#include <stdint.h>

/* What a start failed at. */
#define MPROC_LAUNCH_PROCESS 1
#define MPROC_LAUNCH_AFFINITY 2
#define MPROC_LAUNCH_COMMAND 3

/* Starts `arguments` (looked for in PATH, NULL at the end) with `environment`,
 * bound to the mask (NULL: as the caller is). `arguments` and what they point
 * to are read only. Returns its number, or -errno with *stage saying what
 * failed; nothing is left then. To be called by a process with one thread.
 */
int32_t mproc_launch(char *const *arguments, char *const *environment,
                     const unsigned long *mask, size_t mask_bytes, int *stage);

/* Holds back SIGCHLD and the signals that are forwarded (HUP, INT, QUIT, TERM,
 * USR1, USR2) for mproc_launch_wait. Children of mproc_launch start with the
 * mask from before. Returns 0 or -errno.
 */
int mproc_launch_hold_signals(void);

/* Waits for one of the signals held back and returns it, or -errno. *sender is
 * the process that sent it; 0 where the kernel did, as for a terminal's ^C,
 * which the children got from it themselves.
 */
int mproc_launch_wait(int32_t *sender);

#endif
