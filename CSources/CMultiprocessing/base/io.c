/* Descriptors and messages. The only file that retries EINTR. */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>

#include "../memory/memfd.h"
#include "mproc_affinity.h"
#include "mproc_base.h"
#include "mproc_memory_policy.h"

int mproc_socket_pair(int ends[2]) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
    return -errno;
  ends[0] = pair[0];
  ends[1] = pair[1];
  return 0;
}

int mproc_pipe(int ends[2]) {
  int pair[2];
  if (pipe2(pair, O_CLOEXEC) < 0)
    return -errno;
  ends[0] = pair[0];
  ends[1] = pair[1];
  return 0;
}

int mproc_eventfd(void) {
  int descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return descriptor < 0 ? -errno : descriptor;
}

int mproc_eventfd_ring(int descriptor) {
  const uint64_t one = 1;
  ssize_t written;
  do
    written = write(descriptor, &one, sizeof one);
  while (written < 0 && errno == EINTR);
  /* EAGAIN: the counter is full, so the reader has been rung anyway. */
  return written < 0 && errno != EAGAIN ? -errno : 0;
}

int64_t mproc_eventfd_take(int descriptor) {
  uint64_t count = 0;
  ssize_t taken;
  do
    taken = read(descriptor, &count, sizeof count);
  while (taken < 0 && errno == EINTR);
  if (taken < 0)
    return errno == EAGAIN ? 0 : -errno;
  return (int64_t)count;
}

int mproc_memfd(const char *name, size_t size_bytes, int node) {
  return mproc__memfd_create(name, size_bytes, false, node);
}

int mproc_memfd_of(const char *name, const void *bytes, size_t size) {
  int descriptor = mproc_memfd(name, size, MPROC_NODE_ANY);
  size_t done = 0;
  while (descriptor >= 0 && done < size) {
    ssize_t written = pwrite(descriptor, (const char *)bytes + done,
                             size - done, (off_t)done);
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0) {
      int error = errno;
      close(descriptor);
      return -error;
    }
    done += (size_t)written;
  }
  return descriptor;
}

int mproc_read_all(int descriptor, void *bytes, size_t size) {
  size_t done = 0;
  while (done < size) {
    ssize_t taken =
        pread(descriptor, (char *)bytes + done, size - done, (off_t)done);
    if (taken < 0 && errno == EINTR)
      continue;
    if (taken <= 0)
      return taken < 0 ? -errno : -EPROTO;
    done += (size_t)taken;
  }
  return 0;
}

ptrdiff_t mproc_read_some(int descriptor, void *bytes, size_t size) {
  ssize_t taken;
  do
    taken = read(descriptor, bytes, size);
  while (taken < 0 && errno == EINTR);
  return taken < 0 ? -errno : taken;
}

int mproc_write_all(int descriptor, const void *bytes, size_t size) {
  size_t done = 0;
  while (done < size) {
    ssize_t written =
        write(descriptor, (const char *)bytes + done, size - done);
    if (written >= 0) {
      done += (size_t)written;
    } else if (errno == EAGAIN) {
      struct pollfd one = {.fd = descriptor, .events = POLLOUT};
      poll(&one, 1, -1);
    } else if (errno != EINTR) {
      return -errno;
    }
  }
  return 0;
}

int mproc_set_nonblocking(int descriptor) {
  int flags = fcntl(descriptor, F_GETFL);
  return flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) < 0
             ? -errno
             : 0;
}

int mproc_duplicate(int descriptor) {
  int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  return copy < 0 ? -errno : copy;
}

int mproc_close(int descriptor) {
  /* After EINTR Linux has closed the descriptor: never retried. */
  return close(descriptor) < 0 && errno != EINTR ? -errno : 0;
}

union control_space {
  char bytes[CMSG_SPACE(sizeof(int) * MPROC_MESSAGE_DESCRIPTORS)];
  struct cmsghdr alignment;
};

static int send_message(int socket, const struct mproc_piece *pieces,
                        int piece_count, const int *descriptors,
                        int descriptor_count, int flags) {
  struct iovec vector[8];
  union control_space control;
  if (piece_count > 8 || descriptor_count < 0 ||
      descriptor_count > MPROC_MESSAGE_DESCRIPTORS)
    return -EINVAL;
  for (int i = 0; i < piece_count; i++)
    vector[i] = (struct iovec){(void *)pieces[i].bytes, pieces[i].size};
  size_t descriptor_bytes = sizeof(int) * (size_t)descriptor_count;
  struct msghdr message = {.msg_iov = vector,
                           .msg_iovlen = (size_t)piece_count};
  if (descriptor_count > 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(descriptor_bytes);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptor_bytes);
    memcpy(CMSG_DATA(header), descriptors, descriptor_bytes);
  }
  ssize_t sent;
  do
    sent = sendmsg(socket, &message, MSG_NOSIGNAL | flags);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : 0;
}

int mproc_send_message(int socket, const struct mproc_piece *pieces,
                       int piece_count, const int *descriptors,
                       int descriptor_count) {
  /* What is not sent here cannot be made good later: somebody waits for it. */
  enum { ATTEMPTS = 100, PAUSE_US = 10000 };
  int result = 0;
  for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (attempt > 0)
      usleep(PAUSE_US);
    result = send_message(socket, pieces, piece_count, descriptors,
                          descriptor_count, 0);
    if (result != -ENOMEM && result != -ENOBUFS)
      break;
  }
  return result;
}

int mproc_try_send_message(int socket, const struct mproc_piece *pieces,
                           int piece_count, const int *descriptors,
                           int descriptor_count) {
  return send_message(socket, pieces, piece_count, descriptors,
                      descriptor_count, MSG_DONTWAIT);
}

ptrdiff_t mproc_receive_message(int socket, void *bytes, size_t size,
                              int *descriptors, int *descriptor_count,
                              int flags) {
  union control_space control;
  struct iovec vector = {bytes, size};
  struct msghdr message = {.msg_iov = &vector,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof control.bytes};
  int capacity = descriptor_count ? *descriptor_count : 0, found = 0;
  bool fits = true;
  ssize_t received;
  do
    received = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  /* A peer that ended with a message of ours unread: said once, ahead of what
   * it had sent before. */
  while (received < 0 && (errno == EINTR || errno == ECONNRESET));
  if (received < 0)
    return -errno;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
      continue;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int descriptor;
      memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      if (found < capacity) {
        descriptors[found++] = descriptor;
      } else {
        close(descriptor);
        fits = false;
      }
    }
  }
  if (!fits || message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
    for (int i = 0; i < found; i++)
      close(descriptors[i]);
    /* The buffer is large enough: what was cut had no number to get. */
    return message.msg_flags & MSG_CTRUNC ? -EMFILE : -EPROTO;
  }
  if (descriptor_count)
    *descriptor_count = found;
  return received;
}

ptrdiff_t mproc_peek_message(int socket, void *bytes, size_t size) {
  ssize_t received;
  do
    received = recv(socket, bytes, size, MSG_PEEK | MSG_DONTWAIT);
  while (received < 0 && (errno == EINTR || errno == ECONNRESET));
  return received < 0 ? -errno : received;
}

static int wait_ready(int descriptor, short events, int timeout_ms) {
  struct pollfd one = {.fd = descriptor, .events = events};
  uint64_t end = mproc_now_ns() + (uint64_t)timeout_ms * 1000000;
  for (;;) {
    int ready = poll(&one, 1, timeout_ms);
    if (ready >= 0)
      return ready;
    if (errno != EINTR)
      return -errno;
    if (timeout_ms >= 0) {
      uint64_t now = mproc_now_ns();
      timeout_ms = now >= end ? 0 : (int)((end - now + 999999) / 1000000);
    }
  }
}

int mproc_wait_readable(int descriptor, int timeout_ms) {
  return wait_ready(descriptor, POLLIN, timeout_ms);
}

int mproc_wait_writable(int descriptor, int timeout_ms) {
  return wait_ready(descriptor, POLLOUT, timeout_ms);
}

void *mproc_semaphore_create(void) {
  sem_t *semaphore = malloc(sizeof *semaphore);
  if (semaphore)
    sem_init(semaphore, 0, 0);
  return semaphore;
}

void mproc_semaphore_destroy(void *semaphore) {
  sem_destroy(semaphore);
  free(semaphore);
}

void mproc_semaphore_signal(void *semaphore) {
  sem_post(semaphore);
}

void mproc_semaphore_wait(void *semaphore) {
  while (sem_wait(semaphore) < 0 && errno == EINTR)
    ;
}

uint64_t mproc_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int mproc_map_shared(int descriptor, size_t size, void **base,
                     size_t *mapped_size) {
  struct stat status;
  if (fstat(descriptor, &status) < 0)
    return -errno;
  if (status.st_size < 0 || (uint64_t)status.st_size < size)
    return -EPROTO;
  /* Of huge pages only whole ones can be unmapped. */
  if (status.st_blksize > sysconf(_SC_PAGESIZE))
    size = (size_t)status.st_size;
  void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
                      descriptor, 0);
  if (mapped == MAP_FAILED)
    return -errno;
  *base = mapped;
  *mapped_size = size;
  return 0;
}

int mproc_unmap(void *base, size_t size) {
  return munmap(base, size) < 0 ? -errno : 0;
}

int64_t mproc_file_size(int descriptor) {
  struct stat status;
  return fstat(descriptor, &status) < 0 ? -errno : (int64_t)status.st_size;
}

void mproc_reserve_standard_streams(void) {
  for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
    if (fcntl(i, F_GETFD) < 0 && errno == EBADF)
      (void)!open("/dev/null", O_RDWR); /* the lowest free number: this one */
}

int mproc_open_null(void) {
  int descriptor = open("/dev/null", O_WRONLY | O_CLOEXEC);
  return descriptor < 0 ? -errno : descriptor;
}

int mproc_open_directory(const char *path) {
  int descriptor = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return descriptor < 0 ? -errno : descriptor;
}

bool mproc_is_open(int descriptor) {
  return fcntl(descriptor, F_GETFD) >= 0;
}

static void flush_pending(FILE *stream) {
  /* glibc's own bookkeeping: fflush takes the lock even with nothing to do. */
  if (stream->_IO_write_ptr != stream->_IO_write_base)
    fflush(stream);
}

void mproc_flush_standard_streams(void) {
  flush_pending(stdout);
  flush_pending(stderr);
}

int mproc_current_cpu(void) {
  return sched_getcpu();
}

bool mproc_leave_cpu(int cpu) {
  unsigned long mask[1 << 8], without[1 << 8]; /* 16,384 CPUs */
  const int bits = 8 * (int)sizeof(unsigned long);
  int bytes = mproc_affinity_get(0, mask, sizeof mask);
  if (bytes <= 0 || cpu < 0 || cpu / bits >= bytes / (int)sizeof *mask)
    return false;
  memcpy(without, mask, (size_t)bytes);
  without[cpu / bits] &= ~(1ul << cpu % bits);
  if (mproc_affinity_set(0, without, (size_t)bytes) < 0)
    return false; /* it may run nowhere else */
  mproc_affinity_set(0, mask, (size_t)bytes);
  return sched_getcpu() != cpu;
}

void mproc_keep_freed_memory(void) {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
}
