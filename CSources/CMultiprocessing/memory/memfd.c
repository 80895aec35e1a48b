/*
 * Sealed-size memfds. Newer flags are asked for and done without where the
 * kernel does not know them. Where a container's profile refuses memfd_create,
 * files without a name in /dev/shm take their place: the same memory, except
 * that it cannot be sealed, so that who has the descriptor could shrink it.
 */
#include "memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "mproc_base.h"
#include "mproc_memory_policy.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

static int create(const char *name)
{
    const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);

    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(name, flags);
    return fd < 0 ? -errno : fd;
}

static bool is_refused(int error)
{
    return error == -ENOSYS || error == -EPERM;
}

static int set_size(int fd, uint64_t size_bytes)
{
    struct rlimit limit;

    /* A larger file would be SIGXFSZ. */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && size_bytes > limit.rlim_cur)
        return -EFBIG;
    while (ftruncate(fd, (off_t)size_bytes) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

/* /dev/shm has a limit of its own, and touching a page beyond it is SIGBUS. */
static int reserve(int fd, uint64_t size_bytes)
{
    while (fallocate(fd, 0, 0, (off_t)size_bytes) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

static int open_file(const char *name, bool *is_memfd)
{
    int result = create(name), fd = result;

    *is_memfd = !is_refused(fd);
    if (!*is_memfd)
        fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return fd < 0 ? result : fd; /* the first refusal is the one to tell */
}

int mproc__memfd_create(const char *name, uint64_t size_bytes, bool sparse,
                        int node)
{
    bool is_memfd;
    int fd, result;

    if (size_bytes > INT64_MAX)
        return -EFBIG;
    fd = open_file(name, &is_memfd);
    if (fd < 0)
        return fd;
    result = set_size(fd, size_bytes);
    if (result == 0 && is_memfd &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
        result = -errno;
    /* Before there is a page of it. */
    if (result == 0 && node != MPROC_NODE_ANY)
        result = mproc_memory_bind(fd, size_bytes, node);
    if (result == 0 && !is_memfd && !sparse)
        result = reserve(fd, size_bytes);
    if (result < 0) {
        close(fd);
        return result;
    }
    return fd;
}

/* Whether this process, too, has to do without memfds. */
static bool does_without(void)
{
    int fd = create("mproc-probe");

    if (fd >= 0)
        close(fd);
    return is_refused(fd);
}

int mproc__memfd_check(int fd, struct stat *status)
{
    int seals;

    if (fstat(fd, status) < 0)
        return -errno;
    if (!S_ISREG(status->st_mode) || status->st_size < 0)
        return -EPROTO;
    seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 && errno != EINVAL)
        return -errno;
    if (seals >= 0 && (seals & F_SEAL_SHRINK) != 0)
        return 0;
    return does_without() ? 0 : -EPROTO;
}

int mproc_memfd_grow(const char *name, int *descriptor, void **base,
                     size_t old_size, size_t new_size)
{
    bool is_memfd = *descriptor < 0 || fcntl(*descriptor, F_GET_SEALS) >= 0;
    int fd = *descriptor < 0 ? open_file(name, &is_memfd) : *descriptor;
    int result = fd < 0 ? fd : set_size(fd, new_size);
    void *moved;

    if (result == 0 && !is_memfd)
        result = reserve(fd, new_size);
    if (result == 0) {
        moved = *descriptor < 0
                    ? mmap(NULL, new_size, PROT_READ | PROT_WRITE, MAP_SHARED,
                           fd, 0)
                    : mremap(*base, old_size, new_size, MREMAP_MAYMOVE);
        if (moved != MAP_FAILED) {
            *descriptor = fd;
            *base = moved;
            return 0;
        }
        result = -errno;
    }
    if (*descriptor < 0 && fd >= 0)
        close(fd);
    return result;
}

int mproc_memfd_seal(int descriptor)
{
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW;

    return fcntl(descriptor, F_ADD_SEALS, seals) < 0 ? -errno : 0;
}

bool mproc_memfd_is_sealed(int descriptor)
{
    int seals = fcntl(descriptor, F_GET_SEALS);

    return seals >= 0 && (seals & F_SEAL_SHRINK) != 0;
}
