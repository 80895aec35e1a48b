/* The application stopped at instructions, while its worker goes on. */
#ifndef PREEMPT_H
#define PREEMPT_H

#include "exchange.h"
#include "step.h"

/* Runs the application's side of the exchange; behind each `stride`-th
 * instruction the worker, a process of its own, does all that it can. */
void preempt_application(struct exchange *exchange, enum step_way way,
                         long stride);

#endif
