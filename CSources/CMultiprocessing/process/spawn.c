/* A copy of this executable, by posix_spawn. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mproc_affinity.h"
#include "mproc_base.h"
#include "process_internal.h"

extern char **environ;

/* The descriptor of the control socket in the new process. */
#define CONTROL_IN_CHILD 3

/* What the helper thread needs, and its answer. */
struct request {
  const struct mproc_start *start;
  char **environment;
  int control;
  pid_t pid;
  int error;
};

/* `environment` and the bootstrap variable; free() ends it. */
static char **with_bootstrap(char *const *environment, const char *bootstrap) {
  static const char name[] = MPROC__BOOTSTRAP_VARIABLE "=";
  size_t count = 0, kept = 0;
  while (environment[count])
    count++;
  char **copy = malloc((count + 2) * sizeof *copy);
  if (!copy)
    return NULL;
  for (size_t i = 0; i < count; i++)
    if (strncmp(environment[i], name, sizeof name - 1) != 0)
      copy[kept++] = environment[i];
  copy[kept++] = (char *)bootstrap;
  copy[kept] = NULL;
  return copy;
}

static int spawn_copy(struct request *request) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none, all;
  /* A descriptor instead of a path: it still names this very file when the
   * file has been deleted or replaced. */
  int executable = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (executable < 0)
    return -errno;
  /* /proc/self in the child is the child: name our descriptor by our pid. */
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), executable);
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  /* The child gets the three standard streams and the control socket, whatever
   * else of the application's is not close-on-exec. */
  posix_spawn_file_actions_adddup2(&actions, request->control,
                                   CONTROL_IN_CHILD);
#if __GLIBC_PREREQ(2, 34)
  posix_spawn_file_actions_addclosefrom_np(&actions, CONTROL_IN_CHILD + 1);
#endif
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                               POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  int error = posix_spawn(&request->pid, path, &actions, &attributes,
                          mproc__arguments, request->environment);
  if (error)
    request->pid = 0;
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  close(executable);
  return -error;
}

/* A thread of its own, because what it sets on itself is inherited by the new
 * process from its first instruction: libdispatch counts the CPUs in a
 * constructor that runs before ours. */
static void *spawn_thread(void *context) {
  struct request *request = context;
  const struct mproc_start *start = request->start;
  /* A mask that is refused is reported by the child's own set-up. */
  if (start->affinity)
    mproc_affinity_set(0, start->affinity, start->affinity_bytes);
  request->error = spawn_copy(request);
  return NULL;
}

static int run_spawn_thread(struct request *request) {
  pthread_t thread;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&thread, NULL, spawn_thread, request);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (error)
    return -error;
  pthread_join(thread, NULL);
  return request->error;
}

int mproc_spawn(const struct mproc_start *start, char *const *environment,
                bool outlives, struct mproc_process *process) {
  struct mproc__ends ends;
  char bootstrap[48];
  int result = mproc__ends_open(&ends, outlives);
  if (result < 0)
    return result;
  snprintf(bootstrap, sizeof bootstrap, MPROC__BOOTSTRAP_VARIABLE "=%d",
           CONTROL_IN_CHILD);
  struct request request = {
      .start = start,
      .environment =
          with_bootstrap(environment ? environment : environ, bootstrap),
      .control = ends.child_control,
  };
  int pidfd = -1;
  result = request.environment ? run_spawn_thread(&request) : -ENOMEM;
  free(request.environment);
  if (result < 0)
    goto failed;
  /* The child waits for its start message, so its pid cannot have been freed
   * unless somebody else reaps our children; then this is -ESRCH. */
  pidfd = mproc__hold(request.pid);
  result = pidfd < 0 ? pidfd
                     : mproc__send_start(ends.control, start,
                                         ends.child_lifeline);
  if (result < 0)
    goto failed;
  mproc__ends_close_child(&ends);
  *process = (struct mproc_process){request.pid, pidfd, ends.control,
                                    ends.lifeline};
  return 0;

failed:
  /* A child that there is waits for its start message; without the other end
   * it leaves by itself. */
  mproc__ends_close(&ends);
  if (request.pid > 0)
    mproc__reap_failed(request.pid, pidfd);
  return result;
}
