/*
 * Running code one instruction at a time, and killing it there.
 *
 * Two ways. The trap flag of x86-64 makes every instruction raise SIGTRAP in
 * the process itself. Where there is none, on arm64, a parent steps its child
 * with ptrace. Both may be missing, in emulators and some containers.
 */
#ifndef STEP_H
#define STEP_H

#include <stdbool.h>

struct step_plan {
    void (*body)(void *);    /* what is stepped */
    void (*at_step)(void *); /* called behind every `stride`-th instruction */
    void *context;           /* in memory that processes share */
    long stride;
    bool may_fail;          /* the body may end by a signal */
    void (*prepare)(void *); /* runs before the body, unstepped, or NULL */
};

enum step_way {
    STEP_BY_TRAP_FLAG,
    STEP_BY_PTRACE,
};

/* NULL, or why it does not work here. */
const char *step_reason_against(enum step_way way);

/* The first way that works here; ends the check when none does. */
enum step_way step_way_here(void);

/*
 * Runs the body to its end, stopping behind each `stride`-th instruction for
 * at_step. By ptrace the body is in a child. Returns how often it stopped.
 */
long step_through(enum step_way way, const struct step_plan *plan);

/*
 * As above, by the trap flag, with a real SIGKILL at each stop: the process
 * that runs the body is copied, killed and waited for; then at_step is called,
 * in the caller, and the copy goes on. Each process dies at an instruction
 * that no other has died at, in time that grows with their number alone.
 * Returns the number of kills.
 */
long step_killing(const struct step_plan *plan);

/*
 * Runs the body in a child for `steps` instructions, with at_step behind each
 * `stride`-th, and kills it there. False when it ended before.
 */
bool step_and_kill(enum step_way way, const struct step_plan *plan,
                   long steps);

#endif
