/* Makes exactly one system call of a program, or of a process that descends
 * from it, fail, and watches what comes of it.
 *
 *   inject record CALL… -- COMMAND…
 *   inject WHO CALL K ERRNO -- COMMAND…     WHO: application | child
 *
 * The command prints `begin` and waits for a line of input; from then on the
 * calls are counted, those of its own process and those of others apart, and
 * the K-th fails. Its output comes through. The last lines are ours: a `count`
 * for each call when recording, else `injected` with the thread's name if
 * there were so many calls, and
 *
 *   verdict exited STATUS | signal N | hang | survivor | unborn
 *
 * hang: not ended 20 s after `begin`. survivor: a process that descends from
 * it lived on for more than a second. Exits with 125 when it cannot do this,
 * else with 0.
 *
 * A seccomp filter hands the calls to us before they are made (Linux 5.8).
 * Unlike a tracer's, our count spans all threads and processes: one that is
 * started again does not fail again. */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "calls.h"
#include "processes.h"

#define CANNOT 125
#define HANG_NS 20000000000
#define SURVIVOR_NS 1000000000

enum who { APPLICATION, CHILD };

static struct {
  enum who who;
  long k; /* 0: only counting */
  int error;
  bool done;
  char culprit[64];
} fault;

static pid_t application;
static long counts[CALL_COUNT][2];
/* Since it has printed `begin`. */
static bool counting;

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static _Noreturn void cannot(const char *what) {
  fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
  if (application > 0)
    kill(application, SIGKILL);
  exit(CANNOT);
}

/* MARK: - The calls */

/* Whether the thread is one of the application's own. */
static bool is_application(pid_t thread) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task/%d", application, thread);
  return thread == application || access(path, F_OK) == 0;
}

static void name_culprit(pid_t thread) {
  char path[64], name[32];
  snprintf(path, sizeof path, "/proc/%d/comm", thread);
  read_line(path, name, sizeof name);
  snprintf(fault.culprit, sizeof fault.culprit, "%s", name);
}

/* Of the calls that have variants only those that can fail. */
static bool can_fail(const struct seccomp_data *data) {
  switch (data->nr) {
  case SYS_futex: {
    int operation = (int)data->args[1] & FUTEX_CMD_MASK;
    return operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET;
  }
  case SYS_epoll_ctl:
    return data->args[1] != EPOLL_CTL_DEL;
  default:
    return true;
  }
}

static bool is_to_fail(const struct seccomp_notif *call) {
  if (!counting || !can_fail(&call->data))
    return false;
  enum who who = is_application((pid_t)call->pid) ? APPLICATION : CHILD;
  for (size_t i = 0; i < CALL_COUNT; i++) {
    if (call_names[i].number != call->data.nr)
      continue;
    long count = ++counts[i][who];
    if (fault.done || fault.who != who || fault.k != count)
      return false;
    fault.done = true;
    name_culprit((pid_t)call->pid);
    return true;
  }
  return false;
}

static void answer_call(int listener) {
  struct seccomp_notif call;
  memset(&call, 0, sizeof call);
  /* ENOENT: it was killed meanwhile. */
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
    return;
  struct seccomp_notif_resp answer = {.id = call.id};
  if (is_to_fail(&call))
    answer.error = -fault.error;
  else
    answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}

/* MARK: - The command */

struct command {
  int listener, input, output;
};

/* The two share their descriptors until the exec, so that the listener needs
 * not be sent with calls that may be filtered. */
struct birth {
  char **arguments;
  const int *numbers;
  unsigned count;
  int input, output;
  volatile int listener;
};

static int be_command(void *context) {
  struct birth *birth = context;
  int listener = filter_calls(birth->numbers, birth->count,
                              SECCOMP_RET_USER_NOTIF,
                              SECCOMP_FILTER_FLAG_NEW_LISTENER);
  if (listener < 0 || unshare(CLONE_FILES) < 0) {
    birth->listener = -errno;
    _exit(CANNOT);
  }
  /* From here on calls are answered. */
  birth->listener = listener;
  if (dup3(birth->input, 0, 0) < 0 || dup3(birth->output, 1, 0) < 0)
    _exit(CANNOT);
  execvp(birth->arguments[0], birth->arguments);
  _exit(CANNOT);
}

static struct command start(char **arguments, const int *numbers,
                            unsigned count) {
  int input[2], output[2];
  static char stack[1 << 16] __attribute__((aligned(16)));
  struct birth *birth = mmap(NULL, sizeof *birth, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (birth == MAP_FAILED || pipe2(input, O_CLOEXEC) < 0 ||
      pipe2(output, O_CLOEXEC) < 0)
    cannot("preparing");
  *birth = (struct birth){arguments, numbers, count, input[0], output[1], 0};
  application = clone(be_command, stack + sizeof stack,
                      CLONE_FILES | SIGCHLD, birth);
  if (application < 0)
    cannot("clone");
  while (birth->listener == 0)
    sched_yield();
  if (birth->listener < 0) {
    errno = -birth->listener;
    cannot("calls cannot be intercepted here (seccomp)");
  }
  close(input[0]);
  close(output[1]);
  return (struct command){birth->listener, input[1], output[0]};
}

/* MARK: - Watching */

/* Passes output on; true when it holds the line `begin`. False, and -1 in
 * `output`, at its end. */
static bool pass_on(int *output) {
  static char text[4096];
  static size_t length;
  char buffer[1024];
  ssize_t size = read(*output, buffer, sizeof buffer);
  if (size <= 0) {
    close(*output);
    *output = -1;
    return false;
  }
  fwrite(buffer, 1, (size_t)size, stdout);
  if (counting || length + (size_t)size >= sizeof text)
    return false;
  memcpy(text + length, buffer, (size_t)size);
  length += (size_t)size;
  text[length] = 0;
  return strncmp(text, "begin\n", 6) == 0;
}

/* Answers what comes within `wait_ms`; false when no process is left whose
 * calls could come. */
static bool serve(struct command *command, int pidfd, int wait_ms) {
  struct pollfd sources[] = {{command->listener, POLLIN, 0},
                             {command->output, POLLIN, 0},
                             {pidfd, POLLIN, 0}};
  poll(sources, 3, wait_ms);
  if (sources[1].revents && pass_on(&command->output)) {
    counting = true;
    if (write(command->input, "\n", 1) < 0)
      cannot("telling it to go on");
  }
  if (sources[0].revents & POLLIN)
    answer_call(command->listener);
  else if (sources[0].revents & POLLHUP)
    return false;
  return true;
}

/* Waits for the end of the application; -1: it has not come in time. */
static int watch(struct command *command) {
  uint64_t end = now_ns() + HANG_NS;
  int status, pidfd = (int)syscall(SYS_pidfd_open, application, 0);
  bool was_counting = false;
  while (waitpid(application, &status, WNOHANG) == 0) {
    serve(command, pidfd, 100);
    if (counting != was_counting)
      end = now_ns() + HANG_NS;
    was_counting = counting;
    if (now_ns() > end)
      return -1;
  }
  close(pidfd);
  return status;
}

/* Whether all that descend from the application end in time. */
static bool all_end(struct command *command) {
  uint64_t end = now_ns() + SURVIVOR_NS;
  while (serve(command, -1, 5)) {
    /* A process counts until it is reaped. */
    while (waitpid(-1, NULL, WNOHANG) > 0)
      ;
    if (now_ns() > end)
      return false;
  }
  return true;
}

static void judge(struct command *command) {
  int status = watch(command);
  bool is_alone = status >= 0 && all_end(command);
  if (fault.done)
    printf("injected %s\n", fault.culprit);
  if (!is_alone)
    for_descendants(getpid(), describe_process);
  if (!counting)
    printf("verdict unborn\n");
  else if (status < 0)
    printf("verdict hang\n");
  else if (WIFSIGNALED(status))
    printf("verdict signal %d\n", WTERMSIG(status));
  else if (!is_alone)
    printf("verdict survivor\n");
  else
    printf("verdict exited %d\n", WEXITSTATUS(status));
  fflush(stdout);
  end_descendants();
}

int main(int argc, char **argv) {
  int numbers[CALL_COUNT], next = 1;
  unsigned count = 0;
  bool records = argc > 1 && strcmp(argv[1], "record") == 0;
  if (records) {
    for (next = 2; next < argc && strcmp(argv[next], "--") != 0; next++) {
      int number = number_of(call_names, CALL_COUNT, argv[next]);
      if (number >= 0 && count < CALL_COUNT)
        numbers[count++] = number;
    }
  } else if (argc > 6) {
    fault.who = strcmp(argv[1], "child") == 0 ? CHILD : APPLICATION;
    numbers[count++] = number_of(call_names, CALL_COUNT, argv[2]);
    fault.k = atol(argv[3]);
    fault.error = number_of(error_names, ERROR_COUNT, argv[4]);
    next = 5;
  }
  if (next + 1 >= argc || count == 0 || numbers[0] < 0 ||
      strcmp(argv[next], "--") != 0 || fault.error < 0) {
    fprintf(stderr, "usage: inject record CALL... -- COMMAND...\n"
                    "       inject WHO CALL K ERRNO -- COMMAND...\n");
    return CANNOT;
  }
  signal(SIGPIPE, SIG_IGN);
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  struct command command = start(argv + next + 1, numbers, count);
  judge(&command);
  if (records)
    for (size_t i = 0; i < CALL_COUNT; i++)
      if (counts[i][APPLICATION] + counts[i][CHILD] > 0)
        printf("count %s %ld %ld\n", call_names[i].name,
               counts[i][APPLICATION], counts[i][CHILD]);
  return 0;
}
