/* Sealed-size memfds, as ring segments and arenas use them. */
#ifndef MPROC_MEMFD_H
#define MPROC_MEMFD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/*
 * A close-on-exec memfd whose size can never change, or -errno. Where memfds
 * are refused, a file that the caller alone could resize; `sparse`: its memory
 * need not be there from the beginning, because it is asked for before use.
 * `node`: the NUMA node that its pages come from, whoever touches them first;
 * MPROC_NODE_ANY for where they are touched.
 */
int mproc__memfd_create(const char *name, uint64_t size_bytes, bool sparse,
                        int node);

/*
 * 0 when `fd` is a file that cannot shrink, or could not be kept from it here
 * (memfds are refused); -EPROTO when it is not, or -errno. Its status is
 * stored in `*status`.
 */
int mproc__memfd_check(int fd, struct stat *status);

#endif
