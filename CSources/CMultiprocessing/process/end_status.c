/* How a process ended that is not ours to reap, or that somebody else has
 * reaped. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "mproc_base.h"
#include "process_internal.h"

/* struct pidfd_info of linux/pidfd.h, version 0, which older headers lack. */
struct pidfd_info_v0 {
  uint64_t mask, cgroupid;
  uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
  int32_t exit_code;
};
_Static_assert(sizeof(struct pidfd_info_v0) == 64, "PIDFD_INFO_SIZE_VER0");
#define MPROC__PIDFD_GET_INFO _IOWR(0xFF, 11, struct pidfd_info_v0)
#define MPROC__PIDFD_INFO_EXIT (1ull << 3)

static bool read_text(const char *path, char *text, size_t size) {
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return false;
  ptrdiff_t taken = mproc_read_some(descriptor, text, size - 1);
  close(descriptor);
  if (taken <= 0)
    return false;
  text[taken] = 0;
  return true;
}

/* The process's number in this /proc; 0 or less when it has been reaped. */
static int number_in_proc(int pidfd) {
  char path[48], text[512];
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
  const char *found = read_text(path, text, sizeof text)
                          ? strstr(text, "\nPid:")
                          : NULL;
  return found ? atoi(found + 5) : 0;
}

/* Whether /proc tells this process everything of that one: else it says 0
 * where the exit status is. */
static bool is_permitted(const char *status) {
  const char *users = strstr(status, "\nUid:"), *groups =
      strstr(status, "\nGid:");
  unsigned id[4];
  if (!users || !groups ||
      sscanf(users + 5, "%u %u %u", &id[0], &id[1], &id[2]) != 3)
    return false;
  unsigned user = geteuid(), group = getegid();
  if (id[0] != user || id[1] != user || id[2] != user ||
      sscanf(groups + 5, "%u %u %u", &id[0], &id[1], &id[2]) != 3)
    return false;
  return id[0] == group && id[1] == group && id[2] == group;
}

/* Of a process that has ended and is not reaped yet; else -EAGAIN. */
static int zombie_status(int pidfd, int *status) {
  enum { EXIT_CODE = 52, STATE = 3 }; /* fields of /proc/PID/stat */
  char path[48], text[4096];
  int number = number_in_proc(pidfd);
  if (number <= 0)
    return -EAGAIN;
  snprintf(path, sizeof path, "/proc/%d/status", number);
  if (!read_text(path, text, sizeof text) || !is_permitted(text))
    return -EAGAIN;
  snprintf(path, sizeof path, "/proc/%d/stat", number);
  if (!read_text(path, text, sizeof text))
    return -EAGAIN;
  /* The name before it may hold anything. */
  const char *field = strrchr(text, ')');
  if (!field || field[1] != ' ' || field[2] != 'Z')
    return -EAGAIN;
  field += 2;
  for (int i = STATE; i < EXIT_CODE && field; i++)
    field = (field = strchr(field, ' ')) ? field + 1 : NULL;
  /* Not reaped until now: so the number was nobody else's meanwhile. */
  if (!field || number_in_proc(pidfd) != number)
    return -EAGAIN;
  *status = atoi(field);
  return 0;
}

int mproc_pidfd_status(int pidfd, int *status) {
  if (mproc__is_watched(pidfd))
    return -ENODATA;
  /* Looked at before: one that is reaped during the first question has no
   * number for the second, and yet the kernel may know. */
  bool was_reaped = number_in_proc(pidfd) <= 0;
  struct pidfd_info_v0 info = {.mask = MPROC__PIDFD_INFO_EXIT};
  int result = ioctl(pidfd, MPROC__PIDFD_GET_INFO, &info);
  if (result == 0 && info.mask & MPROC__PIDFD_INFO_EXIT) {
    *status = info.exit_code;
    return 0;
  }
  if (was_reaped)
    return -ENODATA;
  return zombie_status(pidfd, status);
}
