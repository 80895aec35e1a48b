/* Ends a forked copy that can never go on.
 *
 * The copy has one thread of the application's, but all its memory: a lock
 * that another thread held at the moment of the fork stays held for ever. The
 * Swift runtime's, libdispatch's and the application's own locks cannot be
 * freed or foreseen, but a thread that waits for one can be seen. When every
 * thread of the copy, this one aside, sleeps in a futex of the copy's own
 * memory without a timeout, nobody is left who could wake one of them: the
 * copy says so and ends.
 *
 * Only system calls from here on: a lock of the C library may be among those
 * that are held. Without /proc nothing is seen, and the copy waits. */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "mproc_base.h"
#include "mproc_crash.h"
#include "process_internal.h"

/* Reads up to size - 1 bytes of a file of /proc, and ends them with NUL. */
static bool read_text(const char *path, char *text, size_t size) {
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  size_t done = 0;
  if (descriptor < 0)
    return false;
  for (ssize_t taken; done < size - 1; done += (size_t)taken) {
    taken = read(descriptor, text + done, size - 1 - done);
    if (taken <= 0)
      break;
  }
  text[done] = 0;
  close(descriptor);
  return done > 0;
}

/* Not strtoull, which looks at the locale. */
static uint64_t number_at(const char **text, unsigned base) {
  uint64_t number = 0;
  while (**text == ' ' || **text == '\t')
    ++*text;
  if (base == 16 && (*text)[0] == '0' && (*text)[1] == 'x')
    *text += 2;
  for (;; ++*text) {
    char c = **text;
    unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                            : 16;
    if (digit >= base)
      return number;
    number = number * base + digit;
  }
}

static void task_path(char *path, pid_t thread, const char *file) {
  char digits[12];
  int count = 0;
  do
    digits[count++] = (char)('0' + thread % 10);
  while (thread /= 10);
  path = stpcpy(path, "/proc/self/task/");
  while (count > 0)
    *path++ = digits[--count];
  strcpy(path, file);
}

/* The number behind `name` in the text of a status file. */
static bool status_field(const char *text, const char *name, unsigned base,
                         uint64_t *value) {
  const char *found = strstr(text, name);
  if (!found)
    return false;
  found += strlen(name);
  *value = number_at(&found, base);
  return true;
}

/* Whether no other process can have this address: the line of /proc/self/maps
 * that holds it says "p". */
static bool is_own_memory(uint64_t address) {
  char text[4097];
  size_t kept = 0;
  bool is_own = false;
  int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  for (ssize_t taken; maps >= 0;) {
    taken = read(maps, text + kept, sizeof text - 1 - kept);
    if (taken <= 0)
      break;
    kept += (size_t)taken;
    text[kept] = 0;
    char *line = text;
    for (char *end; (end = strchr(line, '\n')); line = end + 1) {
      const char *cursor = line;
      uint64_t first = number_at(&cursor, 16);
      cursor++; /* '-' */
      uint64_t last = number_at(&cursor, 16);
      if (address >= first && address < last)
        is_own = cursor[4] == 'p'; /* " rwxp" */
    }
    kept = (size_t)(text + kept - line);
    memmove(text, line, kept);
  }
  if (maps >= 0)
    close(maps);
  return is_own;
}

/* Whether the thread sleeps in a futex of ours without a timeout; then `mark`
 * differs from that of any other sleep. */
static bool is_stuck(pid_t thread, uint64_t *mark) {
  char path[64], text[4096];
  task_path(path, thread, "/syscall");
  if (!read_text(path, text, sizeof text) || text[0] < '0' || text[0] > '9')
    return false; /* "running" */
  const char *cursor = text;
  if (number_at(&cursor, 10) != SYS_futex)
    return false;
  uint64_t address = number_at(&cursor, 16);
  uint64_t operation = number_at(&cursor, 16);
  number_at(&cursor, 16); /* the value */
  uint64_t timeout = number_at(&cursor, 16);
  uint64_t command = operation & (uint64_t)FUTEX_CMD_MASK;
  if (timeout != 0 ||
      (command != FUTEX_WAIT && command != FUTEX_WAIT_BITSET &&
       command != FUTEX_LOCK_PI && command != 13 /* FUTEX_LOCK_PI2 */))
    return false;
  if (!(operation & FUTEX_PRIVATE_FLAG) && !is_own_memory(address))
    return false;
  task_path(path, thread, "/status");
  return read_text(path, text, sizeof text) &&
         status_field(text, "\nvoluntary_ctxt_switches:", 10, mark);
}

/* A handler could wake a thread; one of the crash record's ends the process. */
static bool has_handlers(void) {
  char text[4096];
  uint64_t caught = 0;
  if (!read_text("/proc/self/status", text, sizeof text) ||
      !status_field(text, "\nSigCgt:", 16, &caught))
    return true;
  for (int signal = 1; signal <= 64; signal++)
    if (caught >> (signal - 1) & 1 && signal != 32 && signal != 33 &&
        !mproc_crash_handles(signal))
      return true; /* 32, 33: the C library's own */
  return false;
}

struct directory_entry { /* struct linux_dirent64 */
  uint64_t inode, offset;
  uint16_t size;
  uint8_t type;
  char name[];
};

/* How many threads there are beside this one, and whether all of them are
 * stuck; `marks` tells one look from another. */
static int count_threads(bool *all_stuck, uint64_t *marks) {
  _Alignas(8) char buffer[2048];
  pid_t self = (pid_t)syscall(SYS_gettid);
  int tasks = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int count = tasks < 0 ? 1 : 0;
  *all_stuck = tasks >= 0;
  *marks = 0;
  for (long size; tasks >= 0;) {
    size = syscall(SYS_getdents64, tasks, buffer, sizeof buffer);
    if (size <= 0)
      break;
    for (long at = 0; at < size;) {
      struct directory_entry *entry = (void *)(buffer + at);
      const char *name = entry->name;
      uint64_t mark = 0;
      pid_t thread = (pid_t)number_at(&name, 10);
      at += entry->size;
      if (thread == 0 || thread == self)
        continue; /* "." and ".." */
      count++;
      *all_stuck = *all_stuck && is_stuck(thread, &mark);
      *marks = *marks * 31 + (uint64_t)thread * 7 + mark;
    }
  }
  if (tasks >= 0)
    close(tasks);
  return count;
}

static void sleep_ms(long milliseconds) {
  struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  nanosleep(&time, NULL);
}

/* All of them sleep, and slept without a break from one look to the next: so
 * there was a moment when all of them slept at once. */
static bool is_deadlocked(uint64_t marks) {
  uint64_t again;
  bool all_stuck;
  for (int look = 0; look < 2; look++) {
    sleep_ms(10);
    count_threads(&all_stuck, &again);
    if (!all_stuck || again != marks)
      return false;
  }
  return !has_handlers();
}

static _Noreturn void end_copy(struct mproc__copy *copy) {
  uint32_t stuck = MPROC_MESSAGE_STUCK;
  struct mproc_piece piece = {&stuck, sizeof stuck};
  if (atomic_load_explicit(&copy->has_begun, memory_order_acquire))
    mproc_send_message(copy->control, &piece, 1, NULL, 0);
  else
    mproc__say_failed(copy->control, MPROC_SETUP_LOCKS, EDEADLK);
  _exit(126);
}

static bool runs(pid_t thread) {
  char path[64];
  uint64_t mark;
  task_path(path, thread, "");
  return access(path, F_OK) == 0 && !is_stuck(thread, &mark);
}

_Noreturn void mproc__watch_copy(struct mproc__copy *copy) {
  sigset_t all;
  /* A signal to the process is for the body. */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, NULL);
  for (long wait = 5;; wait = wait < 250 ? 2 * wait : wait) {
    uint64_t marks;
    bool all_stuck;
    sleep_ms(wait);
    pid_t thread = atomic_load_explicit(&copy->thread, memory_order_acquire);
    if (thread != 0 && runs(thread))
      continue; /* one is enough */
    if (count_threads(&all_stuck, &marks) == 0)
      _exit(0); /* the body has ended its thread, and it was the last */
    if (all_stuck && is_deadlocked(marks))
      end_copy(copy);
  }
}
