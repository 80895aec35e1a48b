/*
 * Sealed-size memfds. Newer flags are asked for and done without where the
 * kernel does not know them.
 */
#include "memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

int mproc__memfd_create(const char *name, uint64_t size_bytes)
{
    const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd, error;

    if (size_bytes > INT64_MAX)
        return -EFBIG;
    fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(name, flags);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)size_bytes) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0) {
        error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int mproc__memfd_check(int fd, struct stat *status)
{
    int seals;

    if (fstat(fd, status) < 0)
        return -errno;
    seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0)
        return errno == EINVAL ? -EPROTO : -errno;
    if (!S_ISREG(status->st_mode) || status->st_size < 0 ||
        (seals & F_SEAL_SHRINK) == 0)
        return -EPROTO;
    return 0;
}
