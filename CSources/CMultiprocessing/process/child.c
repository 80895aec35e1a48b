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

static int set_limits(const struct mproc_start *start) {
  for (size_t i = 0; i < start->limit_count; i++) {
    const struct mproc_limit *limit = &start->limits[i];
    struct rlimit value = {limit->soft, limit->hard};
    if (setrlimit((__rlimit_resource_t)limit->resource, &value) < 0)
      return -errno;
  }
  return 0;
}

static int set_niceness(int niceness) {
  return setpriority(PRIO_PROCESS, 0, niceness) < 0 ? -errno : 0;
}

/* The step that failed, with its error. */
static enum mproc_setup_step apply(const struct mproc_start *start,
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
  if (start->directory && chdir(start->directory) < 0) {
    *error = -errno;
    return MPROC_SETUP_DIRECTORY;
  }
  return MPROC_SETUP_NONE;
}

int mproc__set_up(const struct mproc_start *start) {
  unsigned long mask[1 << 11]; /* 131,072 CPUs */
  int error = 0;
  mproc__role = start->role;
  enum mproc_setup_step step = apply(start, &error);
  int mask_bytes = step ? 0 : mproc_affinity_get(0, mask, sizeof mask);
  if (mask_bytes < 0 && start->affinity) {
    step = MPROC_SETUP_AFFINITY;
    error = mask_bytes;
  }
  struct mproc_answer answer = {
      .message = step ? MPROC_MESSAGE_FAILED : MPROC_MESSAGE_READY,
      .step = step,
      .error = -error,
      .mask_bytes = mask_bytes > 0 ? (uint32_t)mask_bytes : 0,
  };
  struct mproc_piece pieces[] = {{&answer, sizeof answer},
                                 {mask, answer.mask_bytes}};
  int sent = mproc_send_message(start->control, pieces, 2, NULL, 0);
  return step ? error : sent;
}

extern int mproc_child_main(const struct mproc_start *start)
    __attribute__((weak));

_Noreturn void mproc__run_child(const struct mproc_start *start) {
  if (mproc__set_up(start) < 0)
    _exit(126);
  if (!mproc_child_main) {
    static const char text[] = "mproc: a worker of a program that does not "
                               "link Multiprocessing\n";
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(126);
  }
  exit(mproc_child_main(start));
}
