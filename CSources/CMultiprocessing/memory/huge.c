/*
 * Memfds of huge pages, which the administrator has reserved
 * (/proc/sys/vm/nr_hugepages). Mapping one reserves its pages for it, so that
 * touching them cannot fail later; so it is mapped here once, to be told.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "mproc_base.h"
#include "mproc_memory_policy.h"

static int prepare(int fd, size_t size, int node)
{
    struct statfs system;

    if (fstatfs(fd, &system) < 0)
        return -errno;
    size_t page = (size_t)system.f_bsize;
    if (size > (size_t)INT64_MAX - page)
        return -EFBIG;
    size = (size + page - 1) / page * page;
    if (ftruncate(fd, (off_t)size) < 0)
        return -errno;
    int result = node == MPROC_NODE_ANY ? 0 : mproc_memory_bind(fd, size, node);
    if (result < 0)
        return result;
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        return -errno;
    munmap(base, size);
    return 0;
}

int mproc_memfd_huge(const char *name, size_t size_bytes, int node)
{
    const unsigned flags = MFD_CLOEXEC | MFD_HUGETLB;
    int fd = memfd_create(name, flags | MFD_ALLOW_SEALING); /* Linux 4.16 */

    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(name, flags);
    int result =
        fd < 0 ? -errno : prepare(fd, size_bytes ? size_bytes : 1, node);

    if (result == 0) {
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return result;
}
