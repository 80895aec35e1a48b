/* What a new child does to itself before any Swift runs in it, in one order
 * for every start method. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "mproc_affinity.h"
#include "mproc_base.h"
#include "mproc_crash.h"
#include "mproc_memory_policy.h"
#include "process_internal.h"

uint32_t mproc__role;

uint32_t mproc_current_role(void) {
  return mproc__role;
}

void mproc__reset_signals(void) {
  sigset_t none;
  for (int signal = 1; signal < NSIG; signal++) {
    struct sigaction action;
    /* A handler of the application must not run here; what it ignores, such
     * as SIGPIPE, stays ignored, as over an exec. */
    if (sigaction(signal, NULL, &action) < 0 ||
        action.sa_handler == SIG_IGN || action.sa_handler == SIG_DFL)
      continue;
    action = (struct sigaction){.sa_handler = SIG_DFL};
    sigaction(signal, &action, NULL);
  }
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

static int set_streams(const struct mproc_start *start) {
  int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0)
    return -errno;
  int failed = dup2(null, STDIN_FILENO) < 0;
  if (null != STDIN_FILENO)
    close(null);
  if (start->standard_output >= 0)
    failed |= dup2(start->standard_output, STDOUT_FILENO) < 0;
  if (start->standard_error >= 0)
    failed |= dup2(start->standard_error, STDERR_FILENO) < 0;
  if (failed)
    return -errno;
  if (start->standard_output > STDERR_FILENO)
    close(start->standard_output);
  if (start->standard_error > STDERR_FILENO &&
      start->standard_error != start->standard_output)
    close(start->standard_error);
  return 0;
}

/* Without memory for a record the process is worth as much. */
static void arm_crash_record(const struct mproc_start *start) {
  if (start->crash >= 0) {
    mproc_crash_arm(start->crash);
    close(start->crash);
  } else if (start->role == MPROC_ROLE_WORKER) {
    mproc_crash_arm(start->completions);
  }
}

int mproc_limit_get(struct mproc_limit *limit) {
  struct rlimit value;
  if (getrlimit((__rlimit_resource_t)limit->resource, &value) < 0)
    return -errno;
  limit->soft = value.rlim_cur;
  limit->hard = value.rlim_max;
  return 0;
}

int32_t mproc_niceness(void) {
  return getpriority(PRIO_PROCESS, 0);
}

static int set_limit(const struct mproc_limit *limit) {
  __rlimit_resource_t resource = (__rlimit_resource_t)limit->resource;
  struct rlimit value = {limit->soft, limit->hard}, present;
  if (setrlimit(resource, &value) == 0)
    return 0;
  /* An unlimited hard limit is as high as this process may go. */
  if (errno != EPERM || limit->hard != RLIM_INFINITY)
    return -errno;
  if (getrlimit(resource, &present) < 0 || value.rlim_cur > present.rlim_max)
    return -EPERM;
  value.rlim_max = present.rlim_max;
  return setrlimit(resource, &value) < 0 ? -errno : 0;
}

static int set_limits(const struct mproc_start *start) {
  int result = 0;
  for (size_t i = 0; i < start->limit_count && result == 0; i++)
    result = set_limit(&start->limits[i]);
  return result;
}

static int set_directory(const struct mproc_start *start) {
  if (start->current_directory >= 0) {
    if (fchdir(start->current_directory) < 0)
      return -errno;
    close(start->current_directory);
  }
  return start->directory && chdir(start->directory) < 0 ? -errno : 0;
}

static int set_niceness(int niceness) {
  return setpriority(PRIO_PROCESS, 0, niceness) < 0 ? -errno : 0;
}

/* The step that failed, with its error. */
static enum mproc_setup_step set_up(const struct mproc_start *start,
                                   int *error) {
  if (start->ignores_interrupt)
    signal(SIGINT, SIG_IGN);
  if (start->name)
    prctl(PR_SET_NAME, start->name);
  if (start->lifeline >= 0 &&
      (*error = mproc__arm_lifeline(start->lifeline)) < 0)
    return MPROC_SETUP_LIFELINE;
  arm_crash_record(start);
  if ((*error = set_streams(start)) < 0)
    return MPROC_SETUP_STREAMS;
  if (start->affinity &&
      (*error = mproc_affinity_set(0, start->affinity,
                                   start->affinity_bytes)) < 0)
    return MPROC_SETUP_AFFINITY;
  if (start->policy_mode >= 0 &&
      (*error = mproc_memory_policy_set(start->policy_mode,
                                        start->policy_nodes,
                                        start->policy_nodes_bytes)) < 0)
    return MPROC_SETUP_MEMORY_POLICY;
  if (start->niceness != MPROC_NICENESS_INHERIT &&
      (*error = set_niceness(start->niceness)) < 0)
    return MPROC_SETUP_NICENESS;
  if ((*error = set_limits(start)) < 0)
    return MPROC_SETUP_LIMITS;
  if ((*error = set_directory(start)) < 0)
    return MPROC_SETUP_DIRECTORY;
  return MPROC_SETUP_NONE;
}

void mproc__say_failed(int control, enum mproc_setup_step step, int error) {
  struct mproc_answer answer = {
      .message = MPROC_MESSAGE_FAILED, .step = step, .error = error};
  struct mproc_piece piece = {&answer, sizeof answer};
  mproc_send_message(control, &piece, 1, NULL, 0);
}

int mproc__say_ready(int control, bool needs_mask) {
  unsigned long mask[1 << 11]; /* 131,072 CPUs */
  int mask_bytes = mproc_affinity_get(0, mask, sizeof mask);
  if (mask_bytes < 0 && needs_mask) {
    mproc__say_failed(control, MPROC_SETUP_AFFINITY, -mask_bytes);
    return mask_bytes;
  }
  struct mproc_answer answer = {
      .message = MPROC_MESSAGE_READY,
      .mask_bytes = mask_bytes > 0 ? (uint32_t)mask_bytes : 0,
  };
  struct mproc_piece pieces[] = {{&answer, sizeof answer},
                                 {mask, answer.mask_bytes}};
  return mproc_send_message(control, pieces, 2, NULL, 0);
}

int mproc__apply(const struct mproc_start *start) {
  int error = 0;
  mproc__role = start->role;
  enum mproc_setup_step step = set_up(start, &error);
  if (step)
    mproc__say_failed(start->control, step, -error);
  return error;
}

size_t mproc__main_stack_size(void) {
  struct rlimit limit;
  const size_t least = (size_t)8 << 20, unlimited = (size_t)256 << 20;
  if (getrlimit(RLIMIT_STACK, &limit) < 0 || limit.rlim_cur < least)
    return least;
  return limit.rlim_cur < unlimited ? limit.rlim_cur : unlimited;
}

extern int mproc_child_main(const struct mproc_start *start)
    __attribute__((weak));

_Noreturn void mproc__run_child(const struct mproc_start *start) {
  if (mproc__apply(start) < 0 ||
      mproc__say_ready(start->control, start->affinity) < 0)
    _exit(126);
  if (start->awaits_go && !mproc__receive_go(start->control))
    _exit(0);
  /* A forked copy of this process must not hold them open. */
  mproc__private_add(start->control);
  mproc__private_add(start->lifeline);
  if (!mproc_child_main) {
    static const char text[] = "mproc: a worker of a program that does not "
                               "link Multiprocessing\n";
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(126);
  }
  exit(mproc_child_main(start));
}
