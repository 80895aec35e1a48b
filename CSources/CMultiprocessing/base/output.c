/* Files and terminals that are written to. EINTR is retried as in io.c. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "mproc_base.h"

int mproc_file_create(const char *path) {
  struct stat status;
  /* O_NONBLOCK: a pipe without a reader is refused and not waited for. */
  int descriptor =
      open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
  int result;
  if (descriptor < 0)
    return errno == ENXIO ? -ESPIPE : -errno;
  if (fstat(descriptor, &status) < 0)
    result = -errno;
  else if (!S_ISREG(status.st_mode))
    result = -ESPIPE;
  else if (flock(descriptor, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
    /* Where a file system has no locks, two writers are not noticed. */
    result = -EBUSY;
  else
    result = ftruncate(descriptor, 0) < 0 ? -errno : 0;
  if (result == 0)
    return descriptor;
  close(descriptor);
  return result;
}

int mproc_file_close(int descriptor) {
  flock(descriptor, LOCK_UN);
  return mproc_close(descriptor);
}

/* `offset` NULL: where the descriptor stands. */
static int write_whole(int descriptor, const char *bytes, size_t size,
                       const uint64_t *offset) {
  size_t done = 0;
  while (done < size) {
    ssize_t written =
        offset ? pwrite(descriptor, bytes + done, size - done,
                        (off_t)(*offset + done))
               : write(descriptor, bytes + done, size - done);
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return written < 0 ? -errno : -EIO;
    done += (size_t)written;
  }
  return 0;
}

int mproc_write_at(int descriptor, const void *bytes, size_t size,
                   uint64_t offset) {
  return write_whole(descriptor, bytes, size, &offset);
}

int mproc_write_now(int descriptor, const void *bytes, size_t size) {
  return write_whole(descriptor, bytes, size, NULL);
}

int mproc_terminal_columns(int descriptor) {
  struct winsize size;
  if (!isatty(descriptor))
    return -ENOTTY;
  if (ioctl(descriptor, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
    return 80;
  return size.ws_col;
}
