/* Sealed-size memfds, as ring segments and arenas use them. */
#ifndef MPROC_MEMFD_H
#define MPROC_MEMFD_H

#include <stdint.h>
#include <sys/stat.h>

/* A close-on-exec memfd whose size can never change, or -errno. */
int mproc__memfd_create(const char *name, uint64_t size_bytes);

/*
 * 0 when `fd` is a file that cannot shrink, -EPROTO when it is not, or -errno.
 * Its status is stored in `*status`.
 */
int mproc__memfd_check(int fd, struct stat *status);

#endif
