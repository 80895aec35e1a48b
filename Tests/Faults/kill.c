/* Kills an application with SIGKILL again and again, and looks whether what it
 * started is gone a second later.
 *
 *   kill ROUNDS DELAY_MS -- COMMAND…
 *
 * Each round starts the command, waits for its first line and then for a
 * random time of up to DELAY_MS, and kills it. Whatever descends from it
 * becomes our child. Prints one line of figures; exits with 1 when something
 * survived or a round could not be made. */
#include <poll.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <time.h>

#include "processes.h"

#define SURVIVOR_NS 1000000000
#define FIRST_LINE_MS 30000

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void sleep_ns(uint64_t time) {
  struct timespec left = {(time_t)(time / 1000000000),
                          (long)(time % 1000000000)};
  nanosleep(&left, NULL);
}

static pid_t start(char **arguments, int *output) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0)
    return -1;
  pid_t application = fork();
  if (application == 0) {
    dup2(ends[1], 1);
    execvp(arguments[0], arguments);
    _exit(127);
  }
  close(ends[1]);
  *output = ends[0];
  return application;
}

/* Whether its first line came. */
static int has_begun(int output) {
  struct pollfd source = {output, POLLIN, 0};
  char text[4096];
  while (poll(&source, 1, FIRST_LINE_MS) > 0) {
    ssize_t size = read(output, text, sizeof text);
    if (size <= 0)
      return 0;
    if (memchr(text, '\n', (size_t)size))
      return 1;
  }
  return 0;
}

static int processes;

static void count_process(pid_t process) {
  (void)process;
  processes++;
}

/* Nanoseconds from the kill to the end of the last process; 0: some live. */
static uint64_t kill_all(pid_t application) {
  uint64_t begin = now_ns();
  kill(application, SIGKILL);
  while (now_ns() - begin < SURVIVOR_NS) {
    pid_t ended;
    while ((ended = waitpid(-1, NULL, WNOHANG)) > 0)
      ;
    if (ended < 0)
      return now_ns() - begin;
    sleep_ns(100000);
  }
  return 0;
}

static int compare(const void *left, const void *right) {
  uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
  return a < b ? -1 : a > b;
}

int main(int argc, char **argv) {
  long rounds = argc > 4 ? atol(argv[1]) : 0, failed = 0, done = 0;
  uint64_t delay_ns = argc > 4 ? strtoull(argv[2], NULL, 10) * 1000000 : 0;
  uint64_t *times = calloc((size_t)rounds + 1, sizeof *times);
  if (rounds <= 0 || !times) {
    fprintf(stderr, "usage: kill ROUNDS DELAY_MS -- COMMAND...\n");
    return 2;
  }
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  srandom((unsigned)now_ns());
  for (long i = 0; i < rounds; i++) {
    int output = -1;
    pid_t application = start(argv + 4, &output);
    if (application < 0 || !has_begun(output)) {
      printf("round %ld: no first line\n", i);
      failed++;
    } else {
      if (delay_ns > 0)
        sleep_ns((uint64_t)random() % delay_ns);
      for_descendants(getpid(), count_process);
      uint64_t time = kill_all(application);
      if (time > 0) {
        times[done++] = time;
      } else {
        printf("round %ld: survivors\n", i);
        for_descendants(getpid(), describe_process);
        failed++;
      }
    }
    close(output);
    end_descendants();
  }
  qsort(times, (size_t)done, sizeof *times, compare);
  printf("%ld kills, %d processes, %ld rounds with survivors; gone after "
         "%.1f ms (median), %.1f ms (longest)\n",
         done + failed, processes, failed, (double)times[done / 2] / 1e6,
         (double)times[done > 0 ? done - 1 : 0] / 1e6);
  return failed > 0;
}
