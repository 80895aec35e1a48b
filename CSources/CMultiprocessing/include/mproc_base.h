/* What every part of the core shares: descriptors, messages with descriptors,
 * time, threads, and the two words of a Swift closure.
 *
 * Functions return >= 0, or -errno. They print nothing and never exit. Every
 * descriptor they make is close-on-exec from birth. EINTR is retried here and
 * nowhere else. */
#ifndef MPROC_BASE_H
#define MPROC_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Most descriptors that one message carries. */
#define MPROC_MESSAGE_DESCRIPTORS 253
/* Largest message that the sockets here carry in one piece, in bytes. */
#define MPROC_MESSAGE_BYTES (96 * 1024)

/* A pair of connected SOCK_SEQPACKET sockets. */
int mproc_socket_pair(int ends[2]);
/* A pipe: ends[0] reads, ends[1] writes. */
int mproc_pipe(int ends[2]);
/* An eventfd, non-blocking, that counts from zero. */
int mproc_eventfd(void);
/* Adds one to an eventfd. Async-signal-safe. */
int mproc_eventfd_ring(int descriptor);
/* Takes what an eventfd holds; 0 when it holds nothing. */
int64_t mproc_eventfd_take(int descriptor);
/* A sealed-size memfd of `size_bytes`, on a NUMA node or MPROC_NODE_ANY, with
 * the errors of mproc_memory_bind. */
int mproc_memfd(const char *name, size_t size_bytes, int node);
/* The same of huge pages, its size rounded up to whole ones; -ENOMEM when not
 * so many are reserved. */
int mproc_memfd_huge(const char *name, size_t size_bytes, int node);
/* Files in /dev/shm, readable and writable by their user: -EINVAL for a name
 * that cannot be, or is something else's; -EEXIST, -ENOENT. */
int mproc_named_create(const char *name, size_t size);
int mproc_named_open(const char *name);
int mproc_named_unlink(const char *name);
/* Makes (a `descriptor` below 0) or enlarges a memfd that is mapped at `base`;
 * on failure it stays as it was. For memory that one process writes and then
 * hands over. */
int mproc_memfd_grow(const char *name, int *descriptor, void **base,
                     size_t old_size, size_t new_size);
/* Fixes the size of a memfd that mproc_memfd_grow made; -EINVAL where it is a
 * file that cannot be sealed. */
int mproc_memfd_seal(int descriptor);
/* Whether nobody can make it shorter, which would be SIGBUS for its readers. */
bool mproc_memfd_is_sealed(int descriptor);
/* A memfd of that size that holds `bytes`. */
int mproc_memfd_of(const char *name, const void *bytes, size_t size);
/* Maps a file, shared and writable, at least `size` bytes of it, -EPROTO when
 * it has fewer: `mapped_size` is what to unmap, whole pages of the file's. */
int mproc_map_shared(int descriptor, size_t size, void **base,
                     size_t *mapped_size);
int mproc_unmap(void *base, size_t size);
/* Reads exactly `size` bytes from the start of `descriptor`; -EPROTO when it
 * has fewer. */
int mproc_read_all(int descriptor, void *bytes, size_t size);
/* What a pipe holds now, up to `size`: 0 at its end, -EAGAIN when empty. */
ptrdiff_t mproc_read_some(int descriptor, void *bytes, size_t size);
/* Writes all of it, also to a descriptor that is non-blocking; blocks. */
int mproc_write_all(int descriptor, const void *bytes, size_t size);
int64_t mproc_file_size(int descriptor);
/* Opens /dev/null in the place of each standard stream that is closed: no
 * descriptor of ours may take the number of one. Costs three cheap calls. */
void mproc_reserve_standard_streams(void);
/* /dev/null, for writing. */
int mproc_open_null(void);
/* A directory, as what paths are relative to. */
int mproc_open_directory(const char *path);
bool mproc_is_open(int descriptor);
int mproc_set_nonblocking(int descriptor);
/* Opens a file for writing at positions, made or emptied, and locks it: -EBUSY
 * when another descriptor holds the lock, -ESPIPE when it is no regular file.
 * mproc_file_close also ends the lock, whoever has a copy of the descriptor. */
int mproc_file_create(const char *path);
int mproc_file_close(int descriptor);
/* Writes all of `bytes` there. */
int mproc_write_at(int descriptor, const void *bytes, size_t size,
                   uint64_t offset);
/* Writes all of `bytes`; what does not fit into a full non-blocking stream is
 * lost, as -EAGAIN. */
int mproc_write_now(int descriptor, const void *bytes, size_t size);
/* The width of the terminal, 80 where it does not tell; -ENOTTY where the
 * descriptor is none. */
int mproc_terminal_columns(int descriptor);
int mproc_close(int descriptor);
/* A second descriptor of the same file, close-on-exec, beyond the standard
 * streams. */
int mproc_duplicate(int descriptor);
/* The same two, which no forked copy of this process holds: closed with
 * mproc_private_close alone. */
int mproc_private_socket_pair(int ends[2]);
int mproc_private_pipe(int ends[2]);
void mproc_private_close(int descriptor);

/* Sends one message of several pieces with descriptors, which stay the
 * caller's. MSG_NOSIGNAL: a peer that is gone is -EPIPE. A kernel that has no
 * memory for the message is asked again for a second. */
struct mproc_piece {
  const void *bytes;
  size_t size;
};
int mproc_send_message(int socket, const struct mproc_piece *pieces,
                       int piece_count, const int *descriptors,
                       int descriptor_count);
/* As above, but a full socket is -EAGAIN and not waited for. */
int mproc_try_send_message(int socket, const struct mproc_piece *pieces,
                           int piece_count, const int *descriptors,
                           int descriptor_count);

/* Receives one message: its size, 0 at the end of the stream. A message that
 * does not fit, or carries more descriptors than fit, is -EPROTO and its
 * descriptors are closed; -EMFILE when this process cannot have so many; then
 * its bytes are there. `flags`: MSG_DONTWAIT or 0. */
ptrdiff_t mproc_receive_message(int socket, void *bytes, size_t size,
                              int *descriptors, int *descriptor_count,
                              int flags);

/* The first bytes of the next message, which stays, without its descriptors;
 * -EAGAIN when there is none. */
ptrdiff_t mproc_peek_message(int socket, void *bytes, size_t size);

/* Waits until `descriptor` is readable: 1, 0 when `timeout_ms` passed (-1: no
 * limit), or -errno. A peer that hung up counts as readable. */
int mproc_wait_readable(int descriptor, int timeout_ms);
/* The same for room to write; a peer that hung up counts as room. */
int mproc_wait_writable(int descriptor, int timeout_ms);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t mproc_now_ns(void);

/* Starts a detached thread with every signal blocked. */
int mproc_thread_start(const char *name, void *(*body)(void *), void *context);

/* Writes out what standard output and error hold; a few instructions when that
 * is nothing. */
void mproc_flush_standard_streams(void);

/* The CPU that the caller runs on now; -1 when the kernel does not say. */
int mproc_current_cpu(void);

/* Moves the calling thread off `cpu` if it may run elsewhere, and leaves its
 * mask as it was: whether it is elsewhere now. Costs a few microseconds. */
bool mproc_leave_cpu(int cpu);

/* In a worker: freed memory stays with the process, because what comes next is
 * of the same size, and a fresh page costs more than a copy of it. */
void mproc_keep_freed_memory(void);

/* A counting semaphore of this process, from zero; NULL without memory. */
void *mproc_semaphore_create(void);
void mproc_semaphore_destroy(void *semaphore);
void mproc_semaphore_signal(void *semaphore);
void mproc_semaphore_wait(void *semaphore);

/* epoll, level-triggered, each descriptor with a 64-bit token. */
int mproc_epoll_create(void);
int mproc_epoll_add(int epoll, int descriptor, uint64_t token);
/* The same, reported once; `for_output`: when there is room to write. */
int mproc_epoll_add_once(int epoll, int descriptor, uint64_t token,
                         bool for_output);
int mproc_epoll_remove(int epoll, int descriptor);
/* Fills `tokens` with those that are readable or hung up. */
int mproc_epoll_wait(int epoll, uint64_t *tokens, int capacity, int timeout_ms);

#endif
